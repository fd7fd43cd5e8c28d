"""The instrument that claims about context rest on: a small model on the generated pair, with ``--benchmark``.

A quickstart-size model must read homographs right where their cue stands in the sentence, and be at chance on the very
same sentences without it. Were the first not so, the language could not be learnt; were the second not so, something
but the cue would give the answer away. About a minute of one core for each of the two models.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.measure.evaluate import evaluate, evaluation_examples
from zoo.spec import load_spec
from zoo.tasks import DataHome
from zoo.training import load_run, prepare, train

SPECS = Path(__file__).parent / "specs" / "controlled"
CHANCE = 0.5
ENOUGH = 0.95
LEVEL = 0.99
"""Of the exact interval that must hold chance: one run in a hundred is a false alarm."""


def homographs(name: str, folder: Path) -> tuple[int, int]:
    """Train the spec's model: how many of the test's homographs it has right, and how many there are."""
    spec, home = load_spec(SPECS / f"{name}.yaml"), DataHome(folder / "home")
    train(spec, folder / "run", home=home)
    run = load_run(folder / "run")
    found = evaluate(run.model, run.tokenizers, evaluation_examples(prepare(spec, home).task, spec), spec)
    metric = found.metrics[0]
    assert metric.score.metric == "homograph-accuracy"
    right, checks = sum(metric.items)
    return int(right), int(checks)


@pytest.mark.usefixtures("one_thread")
def test_a_cue_in_reach_decides_homographs_and_nothing_else_does(
    tmp_path: Path, request: pytest.FixtureRequest, say: Callable[[str], None]
) -> None:
    if not request.config.getoption("--benchmark", False):
        pytest.skip("trains two models, with --benchmark; plugins/zoo-tasks-text/tests/ holds the quick tests")
    from scipy.stats import binomtest

    right, checks = homographs("homograph-in-reach", tmp_path / "in-reach")
    say(f"homographs with their cue in reach: {right} of {checks} right")
    assert right / checks > ENOUGH
    right, checks = homographs("homograph-absent", tmp_path / "absent")
    interval = binomtest(right, checks, CHANCE).proportion_ci(LEVEL, method="exact")
    say(f"without it: {right} of {checks} right, {LEVEL:.0%} interval {interval.low:.3f} to {interval.high:.3f}")
    assert interval.low <= CHANCE <= interval.high


@pytest.mark.usefixtures("one_thread")
def test_a_domain_tag_decides_the_register_and_nothing_else_does(
    tmp_path: Path, request: pytest.FixtureRequest, say: Callable[[str], None]
) -> None:
    if not request.config.getoption("--benchmark", False):
        pytest.skip("trains a model, with --benchmark; plugins/zoo-tasks-text/tests/ holds the quick tests")
    spec, home = load_spec(SPECS / "register-tag.yaml"), DataHome(tmp_path / "home")
    train(spec, tmp_path / "run", home=home)
    run = load_run(tmp_path / "run")
    found = evaluate(run.model, run.tokenizers, evaluation_examples(prepare(spec, home).task, spec), spec).probes
    right = {kind: found[f"domain-tag.{kind}_register-accuracy"] for kind in ("correct", "wrong", "random", "none")}
    say("words that show the register, right with the tag " + ", ".join(f"{kind}: {right[kind]:.3f}" for kind in right))
    say(f"steering (correct - random): {found['domain-tag.steering_register-accuracy']:.3f}")
    assert right["correct"] > ENOUGH
    assert right["wrong"] < 1 - ENOUGH
    assert abs(right["random"] - CHANCE) < 0.1


def test_the_control_differs_from_the_model_in_the_cue_alone() -> None:
    specs = [load_spec(SPECS / f"{name}.yaml") for name in ("homograph-in-reach", "homograph-absent")]
    plain = [spec.model_dump(mode="json") for spec in specs]
    assert plain[0] != plain[1]
    for spec in plain:
        spec["name"] = ""
        spec["task"]["corpus"]["homograph_cue"] = ""
    assert plain[0] == plain[1]
