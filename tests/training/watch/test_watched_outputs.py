"""Outputs that are looked at while a model trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome, Example
from zoo.training import run, train
from zoo.training.trainer import ZooTrainer

CHANGES = {"training.steps": 8, "training.evaluate_every": 2, "training.watch_outputs": 12, "training.save_every": 3}


def test_evaluations_whose_outputs_have_collapsed_are_named_also_by_a_resumed_run(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written by hand: one text for everything after steps 2 and 6, the references after the others."""
    asked: list[int] = []

    class Died(BaseException):
        pass

    step = ZooTrainer.training_step

    def watched(self: Any, *args: Any) -> Any:
        asked[:] = [self.state.global_step + 1]
        return step(self, *args)

    def write(self: Any, sample: Sequence[Example]) -> list[str]:
        assert len(sample) == 12
        return ["ba"] * 12 if asked[0] in (2, 6) else [example.target for example in sample]

    def dying(self: Any, *args: Any) -> Any:
        if self.state.global_step == 4:
            raise Died
        return watched(self, *args)

    monkeypatch.setattr(run._Attempt, "_write", write)
    monkeypatch.setattr(ZooTrainer, "training_step", dying)
    with pytest.raises(Died):
        train(make_spec(**CHANGES), tmp_path / "out", home=home)
    monkeypatch.setattr(ZooTrainer, "training_step", watched)
    outcome = train(make_spec(**CHANGES), tmp_path / "out", resume=True, home=home)
    assert [item["step"] for item in outcome.facts["collapsed"]] == [2, 6]
    assert "8.3% of the outputs are distinct" in outcome.facts["collapsed"][0]["why"]
    assert (outcome.status, outcome.steps) == ("ok", 8)


def test_looking_changes_no_weight(make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path) -> None:
    """The outputs are really generated, of a model with dropout."""
    for name, count in (("watched", 12), ("plain", None)):
        changes = {**CHANGES, "training.watch_outputs": count, "training.steps": 4, "decoding.max_new_tokens": 8}
        train(make_spec(**changes), tmp_path / name, home=home)
    watched, plain = (tmp_path / name / "model.safetensors" for name in ("watched", "plain"))
    assert watched.read_bytes() == plain.read_bytes()


def test_outputs_are_looked_at_in_evaluations(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(InputError, match=r"training\.watch_outputs.*set evaluate_every"):
        make_spec(**{"training.watch_outputs": 12})
