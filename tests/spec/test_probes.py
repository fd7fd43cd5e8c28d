"""Probes in a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.bench.cell import baseline_spec
from zoo.errors import InputError
from zoo.spec import distributions_of, load_spec

SMOKE = Path(__file__).parents[2] / "benchmarks" / "specs" / "smoke.yaml"


def test_probes_are_named_with_or_without_options_and_are_part_of_the_spec() -> None:
    spec = load_spec(SMOKE, ["evaluation.probes=[source-swap, {use: shift, offset: 3}]", "training.probe_every=50"])
    assert [probe.id for probe in spec.evaluation.probes] == ["zoo-probes/source-swap", "zoo-probes/shift"]
    assert spec.plain()["evaluation"]["probes"][1]["offset"] == 3
    assert "zoo-probes" in distributions_of(spec)
    assert load_spec(SMOKE).evaluation.probes == []


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (["evaluation.probes=[sorce-swap]"], "unknown probe 'sorce-swap': did you mean 'source-swap'"),
        (["evaluation.probes=[{use: shift, ofset: 3}]"], "unknown key 'ofset': did you mean 'offset'"),
        (["evaluation.probes=[shift, {use: shift, offset: 3}]"], "the probe 'shift' stands here twice"),
        (["training.probe_every=5"], "there is nothing to measure: name probes in evaluation.probes"),
        (
            ["evaluation.probes=[shift]", "training.probe_every=0"],
            "'probe_every': expected a number at least 1, found 0",
        ),
    ],
)
def test_a_mistake_is_named_where_it_stands(sets: list[str], expected: str) -> None:
    with pytest.raises(InputError) as refused:
        load_spec(SMOKE, sets)
    assert expected in str(refused.value)
    assert "--set" in str(refused.value)


def test_a_control_is_the_same_whatever_is_probed() -> None:
    bare, probed = (load_spec(SMOKE, sets).plain() for sets in ([], ["evaluation.probes=[source-swap]"]))
    assert baseline_spec(bare) == baseline_spec(probed)
    assert probed["evaluation"]["probes"]
