"""Training in float16: the loss is scaled, and a step whose gradients overflow is skipped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.amp import GradScaler

import zoo.training.trainer as trainer_module
from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.loading import load_run
from zoo.training.trainer import ZooTrainer

OPTIMIZERS: list[dict[str, Any]] = [
    {"use": "adamw", "lr": 2e-3},
    {"use": "adafactor", "lr": 0.01},
    {"use": "muon", "lr": 0.01},
    {"use": "schedule-free", "lr": 2e-3},
]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def begin_with(patch: pytest.MonkeyPatch, scale: float) -> None:
    patch.setattr(trainer_module, "GradScaler", partial(GradScaler, init_scale=scale))


def same(one: Path, other: Path) -> bool:
    left, right = weights(one), weights(other)
    return all(torch.equal(left[name], right[name]) for name in left)


def test_losses_are_near_those_of_single_precision_and_weights_stay_float32(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_with(monkeypatch, 256.0)
    full = train(make_spec(**{"training.precision": "fp32"}), tmp_path / "full", home=home)
    half = train(make_spec(**{"training.precision": "fp16"}), tmp_path / "half", home=home)
    assert half.facts["precision"] == "float16"
    assert half.facts["skipped_steps"] == {"count": 0, "last": None}
    assert "skipped_steps" not in full.facts
    for point, other in zip(half.curve, full.curve, strict=True):
        assert point.loss != other.loss
        assert point.loss == pytest.approx(other.loss, rel=0.01)
        assert point.gradient_norm == pytest.approx(other.gradient_norm, rel=0.1)  # unscaled before it is told
    assert {item.dtype for item in load_run(tmp_path / "half").model.parameters()} == {torch.float32}


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=[item["use"] for item in OPTIMIZERS])
def test_steps_that_overflow_move_nothing_and_are_counted(
    make_spec: Callable[..., Spec],
    home: DataHome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: dict[str, Any],
) -> None:
    begin_with(monkeypatch, 2.0**31)
    changes = {"training.optimizer": optimizer, "training.precision": "fp16"}
    if optimizer["use"] == "schedule-free":
        changes["training.schedule"] = "constant"
    train(make_spec(**{**changes, "training.steps": 0}), tmp_path / "untrained", home=home)
    stopped = train(make_spec(**{**changes, "training.steps": 3}), tmp_path / "few", home=home)
    assert stopped.facts["skipped_steps"] == {"count": 3, "last": 3}
    assert same(tmp_path / "untrained", tmp_path / "few")
    going_on = train(make_spec(**{**changes, "training.steps": 40}), tmp_path / "more", home=home)
    assert going_on.status == "ok"
    count, last = going_on.facts["skipped_steps"]["count"], going_on.facts["skipped_steps"]["last"]
    assert 3 < count < 20
    assert last < 30
    assert going_on.curve[0].gradient_norm is None  # of four skipped steps
    assert going_on.curve[-1].loss < going_on.curve[0].loss


def test_gradients_that_overflow_at_any_scale_end_the_run(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_with(monkeypatch, 2.0**100)
    outcome = train(make_spec(**{"training.precision": "fp16", "training.steps": 40}), tmp_path / "out", home=home)
    assert (outcome.status, outcome.steps) == ("nan", 21)
    assert outcome.error is not None
    assert outcome.error.startswith("the gradient norm of step 21 is ")


class Died(BaseException):
    """Stands for the end of the process."""


def test_a_resumed_run_keeps_the_scale(make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path) -> None:
    """A lost one would begin too large again, and skip steps that the uninterrupted run takes."""
    spec = make_spec(**{"training.precision": "fp16", "training.steps": 24, "training.save_every": 16})
    with pytest.MonkeyPatch.context() as patch:
        begin_with(patch, 2.0**26)
        whole = train(spec, tmp_path / "whole", home=home)
        assert 0 < whole.facts["skipped_steps"]["last"] <= 16
        step = ZooTrainer.training_step

        def deadly(self: ZooTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
            if self.state.global_step == 19:
                raise Died
            return step(self, *args, **kwargs)

        patch.setattr(ZooTrainer, "training_step", deadly)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
        patch.setattr(ZooTrainer, "training_step", step)
        resumed = train(spec, tmp_path / "cut", resume=True, home=home)
    assert same(tmp_path / "whole", tmp_path / "cut")
    assert resumed.facts["skipped_steps"] == whole.facts["skipped_steps"]
    assert resumed.curve == whole.curve


def test_what_takes_gradients_before_the_loss_is_scaled_is_refused(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"training\.logits_chunk: the gradients of a chunk are taken before the loss"):
        make_spec(**{"training.precision": "fp16", "training.logits_chunk": 64})
    galore = {"use": "galore", "lr": 0.01, "rank": 4, "per_layer": True}
    spec = make_spec(**{"training.precision": "fp16", "training.optimizer": galore, "training.clipping": "none"})
    with pytest.raises(InputError, match="set training.precision to bf16 or fp32"):
        train(spec, tmp_path / "out", home=home)
