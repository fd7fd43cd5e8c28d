"""Training that ends where the development loss no longer falls, and the weights that it leaves."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from zoo.errors import InputError
from zoo.models import load_model, weights_hash
from zoo.spec import Spec
from zoo.spec.training_section import EarlyStopSection
from zoo.tasks import DataHome
from zoo.training import run, train, trainer
from zoo.training.outcome import CurvePoint
from zoo.training.trainer import ZooTrainer
from zoo.training.watch.early_stop import Evaluated, best_of, stopping_step
from zoo.training.weights import checkpoints
from zoo.training.weights.copied import copied_weights

LOSSES = (5.0, 3.0, 4.0, 2.0, 2.5, 2.0, 3.0, 1.0, 1.0)
"""After steps 2, 4, ...: the lowest before patience runs out is the fourth."""


def curve(losses: tuple[float, ...]) -> list[CurvePoint]:
    """With points between that hold something else."""
    points = [CurvePoint(step, loss=9.0) for step in range(1, 2 * len(losses), 2)]
    return sorted(
        [*points, *(CurvePoint(2 * n, dev_loss=loss) for n, loss in enumerate(losses, 1))], key=lambda point: point.step
    )


@pytest.mark.parametrize(
    ("patience", "min_delta", "step"),
    [
        (1, 0.0, 6),  # the third is above the second
        (2, 0.0, 12),  # an equal loss is not lower
        (3, 0.0, 14),
        (4, 0.0, None),  # 1.0 comes in time
        (3, 1.0, 10),  # 2.0 is not more than 1.0 below 3.0
        (1, 9.9, 4),  # the first of all is lower than nothing
    ],
)
def test_training_ends_after_so_many_evaluations_without_a_lower_loss(
    patience: int, min_delta: float, step: int | None
) -> None:
    options = EarlyStopSection(patience=patience, min_delta=min_delta)
    assert stopping_step(curve(LOSSES), options) == step


def test_losses_after_the_end_do_not_undo_it() -> None:
    for count in range(1, len(LOSSES) + 1):
        found = stopping_step(curve(LOSSES[:count]), EarlyStopSection(patience=2))
        assert found == (12 if count >= 6 else None)


def test_the_best_is_the_first_of_the_lowest() -> None:
    assert best_of(curve(LOSSES)) == Evaluated(16, 1.0)
    assert best_of(curve(LOSSES[:7])) == Evaluated(8, 2.0)
    assert best_of([CurvePoint(1, loss=1.0)]) is None


@pytest.mark.parametrize("setting", [{"training.early_stop": {}}, {"training.keep_best": True}], ids=str)
def test_losses_that_are_not_taken_decide_nothing(make_spec: Callable[..., Spec], setting: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"training\.(early_stop|keep_best).*set evaluate_every"):
        make_spec(**setting)


def test_tied_weights_are_copied_once_and_put_back(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    train(make_spec(**{"training.steps": 0}), tmp_path / "out", home=home)
    model = load_model(tmp_path / "out")
    before, copies = weights_hash(model), copied_weights(model)
    assert sum(item.numel() for item in copies.values()) == sum(item.numel() for item in model.parameters())
    assert len(copies) < len(model.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert weights_hash(model) != before
    model.load_state_dict(copies, strict=False)
    assert weights_hash(model) == before


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Development losses as in LOSSES, by the step."""
    evaluate = ZooTrainer.evaluate
    now = {}

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        now["step"] = self.state.global_step
        return evaluate(self, *args, **kwargs)

    monkeypatch.setattr(ZooTrainer, "evaluate", watched)
    monkeypatch.setattr(trainer, "dev_loss", lambda *args: LOSSES[now["step"] // 2 - 1])


CHANGES = {
    "training.steps": 18,
    "training.evaluate_every": 2,
    "training.early_stop": {"patience": 2},
    "training.keep_best": True,
    "training.save_every": 1,
    "training.keep_checkpoints": 99,
}


@pytest.mark.usefixtures("scripted")
def test_a_run_ends_early_and_leaves_its_best_weights(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    outcome = train(make_spec(**CHANGES), tmp_path / "out", home=home)
    assert (outcome.status, outcome.error, outcome.steps, outcome.total_steps) == ("ok", None, 12, 18)
    assert (outcome.facts["stopped_early"], outcome.model_step) == (12, 8)
    assert outcome.facts["best"] == {"step": 8, "dev_loss": 2.0}
    steps = {saved.step: saved for saved in checkpoints.complete(tmp_path / "out")}
    assert max(steps) == 12
    left = load_file(tmp_path / "out" / "model.safetensors")
    for step in (8, 12):
        saved = load_file(steps[step].path / checkpoints.WEIGHTS)
        assert all(torch.equal(saved[name], left[name]) for name in left) == (step == 8)


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("killed", ["between the best and the end", "behind the last evaluation"])
def test_a_resumed_run_ends_where_it_would_have_ended_with_the_same_best_weights(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, killed: str
) -> None:
    """The second goes on from the checkpoint of the very step that training ended at."""

    class Died(BaseException):
        pass

    def die(*args: Any) -> None:
        raise Died

    spec = make_spec(**CHANGES)
    whole = train(spec, tmp_path / "whole", home=home)
    step = ZooTrainer.training_step
    with pytest.MonkeyPatch.context() as patch:
        if killed == "behind the last evaluation":
            patch.setattr(run._Attempt, "_write_model", die)
        else:
            patch.setattr(
                ZooTrainer, "training_step", lambda self, *a: die() if self.state.global_step == 10 else step(self, *a)
            )
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ZooTrainer, "training_step", lambda self, *a: (taken.append(1), step(self, *a))[1])
        resumed = train(spec, tmp_path / "cut", resume=True, home=home)
    assert len(taken) == (0 if killed == "behind the last evaluation" else 2)
    assert (tmp_path / "cut" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()
    assert (resumed.steps, resumed.model_step, resumed.facts, resumed.curve) == (
        whole.steps,
        whole.model_step,
        whole.facts,
        whole.curve,
    )


@pytest.mark.usefixtures("scripted")
def test_a_run_that_fails_leaves_its_best_weights_too(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = ZooTrainer.training_step

    def poisoned(self: Any, model: Any, inputs: Any, items: Any) -> Any:
        return step(self, model, inputs, items * (math.nan if self.state.global_step == 6 else 1))

    monkeypatch.setattr(ZooTrainer, "training_step", poisoned)
    outcome = train(make_spec(**CHANGES), tmp_path / "out", home=home)
    assert (outcome.status, outcome.steps, outcome.model_step) == ("nan", 7, 4)
    assert "stopped_early" not in outcome.facts
