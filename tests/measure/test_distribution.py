from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.measure.distribution import Measured, percentile

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
