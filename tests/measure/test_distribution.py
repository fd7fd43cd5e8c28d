from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.measure.distribution import Measured, percentile, pooled

finite = st.floats(-1e9, 1e9)


@given(st.lists(finite, min_size=1, max_size=50), st.floats(0, 100))
def test_percentiles_are_numpys(values: list[float], q: float) -> None:
    assert percentile(values, q) == pytest.approx(float(np.percentile(values, q)), rel=1e-9, abs=1e-3)


def test_p90_is_named_from_100_samples_and_p99_from_1000() -> None:
    assert Measured(tuple(range(99)), "s").p90 is None
    assert Measured(tuple(range(100)), "s").p90 == pytest.approx(89.1)
    assert Measured(tuple(range(999)), "s").p99 is None
    assert Measured(tuple(range(1001)), "s").p99 == pytest.approx(990.0)


@pytest.mark.parametrize("values", [(), (1.0, float("nan")), (float("inf"),)])
def test_a_measurement_without_finite_samples_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="sample"):
        Measured(values, "s")


def test_several_processes_are_told_by_the_median_of_their_medians() -> None:
    """One slow process of three moves the median of all samples, not the median of the medians."""
    parts = [
        Measured((1.0, 1.0, 2.0), "s", warmup=(4,)),
        Measured((9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0), "s", warmup=(5,)),
        Measured((1.5, 1.5, 1.5), "s", warmup=(6,)),
    ]
    found = pooled(parts)
    assert found.processes == (1.0, 9.0, 1.5)
    assert found.median == 1.5
    assert found.warmup == (4, 5, 6)
    assert found.values == tuple(value for part in parts for value in part.values)
    assert (found.minimum, found.maximum) == (1.0, 9.0)


def test_percentiles_of_several_processes_are_over_all_samples() -> None:
    halves = [Measured(tuple(map(float, range(start, start + 50))), "s") for start in (0, 50)]
    assert halves[0].p90 is None
    assert pooled(halves).p90 == pytest.approx(float(np.percentile(range(100), 90)))


def test_quantities_of_different_units_are_not_pooled() -> None:
    with pytest.raises(ValueError, match="one unit"):
        pooled([Measured((1.0,), "s"), Measured((1.0,), "ms")])
