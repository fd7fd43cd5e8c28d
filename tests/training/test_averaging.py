"""Runs whose model has averaged weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn
from transformers import TrainerCallback

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import load_run, prepare, train
from zoo.training.data.development import development_batches
from zoo.training.losses.loss import dev_loss
from zoo.training.outcome import TrainingOutcome, read_outcome
from zoo.training.trainer import ZooTrainer
from zoo.training.weights.last_weights import FOLDER as LAST

EMA = {"use": "ema", "decay": 0.8, "warmup": False}
SWA = {"use": "swa", "start": 4, "every": 2}
LAST_K = {"use": "last-k", "k": 3, "every": 2}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


@pytest.fixture(scope="module")
def plain(make_spec: Callable[..., Spec], home: DataHome, tmp_path_factory: pytest.TempPathFactory) -> TrainingOutcome:
    """A run without an average."""
    spec = make_spec(**{"training.evaluate_every": 5})
    return train(spec, tmp_path_factory.mktemp("plain") / "run", home=home)


class Follows(TrainerCallback):
    """torch's own average of the model, over the steps that `counts` says."""

    def __init__(self, model: Any, function: Any, counts: Callable[[int], bool]) -> None:
        self.model = model
        self.averaged = AveragedModel(model, multi_avg_fn=function)
        self.counts = counts

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.counts(state.global_step):
            self.averaged.update_parameters(self.model)


@pytest.mark.parametrize(
    ("averaging", "function", "counts", "steps"),
    [
        (EMA, get_ema_multi_avg_fn(0.8), lambda step: True, (12, 1, 12)),
        (SWA, get_swa_multi_avg_fn(), lambda step: step in (4, 6, 8, 10, 12), (5, 4, 12)),
        (LAST_K, get_swa_multi_avg_fn(), lambda step: step in (8, 10, 12), (6, 2, 12)),
    ],
    ids=["ema", "swa", "last-k"],
)
def test_the_model_has_the_average_that_torch_computes_and_training_is_as_without_it(
    make_spec: Callable[..., Spec],
    home: DataHome,
    plain: TrainingOutcome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    averaging: dict[str, Any],
    function: Any,
    counts: Callable[[int], bool],
    steps: tuple[int, int, int],
) -> None:
    from zoo.training import run

    followers: list[Follows] = []

    def follow(attempt: Any) -> list[Follows]:
        followers.append(Follows(attempt.model, function, counts))
        return followers

    spec = make_spec(**{"training.evaluate_every": 5, "training.averaging": averaging})
    with monkeypatch.context() as patch:
        patch.setattr(run._Attempt, "_plugin_callbacks", follow)
        outcome = train(spec, tmp_path / "averaged", home=home)
    assert outcome.facts["averaging"] == {
        "component": f"zoo-averaging/{averaging['use']}",
        "count": steps[0],
        "first_step": steps[1],
        "last_step": steps[2],
        "in_folder": True,
    }
    found, last = weights(tmp_path / "averaged"), weights(tmp_path / "averaged" / LAST)
    for name, expected in followers[0].averaged.module.named_parameters():
        torch.testing.assert_close(found[name], expected.detach(), rtol=1e-6, atol=1e-7)
    assert any(not torch.equal(found[name], last[name]) for name in found)
    assert_same_weights(plain.directory, tmp_path / "averaged" / LAST)
    points = {point.step: point for point in outcome.curve}
    for point in plain.curve:
        assert points[point.step].loss == point.loss
        if point.dev_loss is not None:  # the last step is always evaluated here, and not by every transformers
            assert points[point.step].dev_loss == point.dev_loss
    assert any(point.dev_loss is not None for point in plain.curve)


def test_the_curve_has_the_loss_of_the_average_and_the_folder_the_model_of_the_last_point(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    """Also after the last step, which is none of those that are evaluated (5, 10)."""
    spec = make_spec(**{"training.evaluate_every": 5, "training.averaging": {**SWA, "start": 6}})
    outcome = train(spec, tmp_path / "run", home=home)
    losses = {p.step: (p.dev_loss, p.averaged_dev_loss) for p in outcome.curve if p.dev_loss is not None}
    assert list(losses) == [5, 10, 12]
    assert losses[5][1] is None  # nothing was averaged yet
    assert None not in losses[10]
    for folder, loss in ((tmp_path / "run" / LAST, losses[12][0]), (tmp_path / "run", losses[12][1])):
        run = load_run(folder)
        batches = development_batches(run.spec, prepare(spec, home), run.model, home)
        assert dev_loss(run.model, iter(batches()), run.model.device, torch.float32) == loss
    told = read_outcome(tmp_path / "run" / LAST)
    assert told is not None
    assert (told.status, told.model_step, told.facts["averaging"]["in_folder"]) == ("ok", 12, False)
    assert read_outcome(tmp_path / "run") == outcome


class Died(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    ("averaging", "save"),
    [
        pytest.param(SWA, 3, id="swa"),
        pytest.param(EMA, 7, id="ema", marks=pytest.mark.slow),
        pytest.param(LAST_K, 7, id="last-k", marks=pytest.mark.slow),
    ],
)
def test_a_resumed_run_has_the_average_of_an_uninterrupted_one(
    make_spec: Callable[..., Spec],
    home: DataHome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    averaging: dict[str, Any],
    save: int,
) -> None:
    """Killed in step 10; the average goes on from step 7, or (swa) from step 9."""
    spec = make_spec(**{"training.averaging": averaging, "training.save_every": save, "training.evaluate_every": 5})
    whole = train(spec, tmp_path / "whole", home=home)
    original = ZooTrainer.training_step

    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 9:
            raise Died
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ZooTrainer, "training_step", dying)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    resumed = train(spec, tmp_path / "cut", resume=True, home=home)
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    assert_same_weights(tmp_path / "whole" / LAST, tmp_path / "cut" / LAST)
    assert resumed.curve == whole.curve
    assert resumed.facts["averaging"] == whole.facts["averaging"]


def test_a_run_that_breaks_off_leaves_the_weights_of_its_checkpoint_and_says_so(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ZooTrainer.training_step

    def poisoned(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = original(self, *args, **kwargs)
        if self.state.global_step == 8:
            next(self.model.parameters()).grad.fill_(float("nan"))
        return loss

    monkeypatch.setattr(ZooTrainer, "training_step", poisoned)
    spec = make_spec(**{"training.averaging": EMA, "training.save_every": 6})
    outcome = train(spec, tmp_path / "run", home=home)
    assert (outcome.status, outcome.model_step) == ("nan", 6)
    assert outcome.facts["averaging"]["in_folder"] is False
    assert not (tmp_path / "run" / LAST).exists()
    assert_same_weights(tmp_path / "run", tmp_path / "run" / "checkpoints" / "step-00000006")


def test_a_run_of_no_steps_averages_nothing(make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path) -> None:
    spec = make_spec(**{"training.averaging": EMA, "training.steps": 0})
    outcome = train(spec, tmp_path / "run", home=home)
    assert (outcome.status, "averaging" in outcome.facts) == ("ok", False)


def test_an_averaging_that_would_begin_after_the_end_is_refused(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(InputError, match=r"begin after the last step \(12\)"):
        make_spec(**{"training.averaging": {"use": "ema", "start": 13}})


def test_a_spec_that_averages_nothing_has_the_plain_form_that_it_had(make_spec: Callable[..., Spec]) -> None:
    assert "averaging" not in make_spec().plain()["training"]
    assert make_spec(**{"training.averaging": "ema"}).plain()["training"]["averaging"]["decay"] == 0.999
