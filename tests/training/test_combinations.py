"""Options of training that stand side by side: all that go together at once, and those that are refused together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.trainer import ZooTrainer

TOGETHER: dict[str, Any] = {
    "training.objective": {"use": "z-loss", "of": "label-smoothing"},
    "training.clipping": {"use": "per-group"},
    "training.update_clipping": "rms",
    "training.averaging": {"use": "ema", "decay": 0.5},
    "training.gradient_checkpointing": True,
    "training.logits_chunk": 16,
    "training.step_tokens": 300,
    "training.packing": True,
    "training.early_stop": {"patience": 4},
    "training.log_token_gradients": True,
    "training.watch_outputs": 10,
    "training.evaluate_every": 5,
    "training.save_every": 7,
    "seeds": {"order": 9},
}


class Died(BaseException):
    """Stands for the end of the process."""


def test_everything_at_once_goes_on_as_if_it_had_not_been_interrupted(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(**TOGETHER)
    whole = train(spec, tmp_path / "whole", home=home)
    original = ZooTrainer.training_step

    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step + 1 == 10:
            raise Died
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ZooTrainer, "training_step", dying)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    resumed = train(spec, tmp_path / "cut", resume=True, home=home)
    assert (whole.status, whole.error) == ("ok", None)
    assert resumed.curve == whole.curve
    assert resumed.facts == whole.facts
    for folder in (".", "last"):
        one, other = (load_file(tmp_path / run / folder / "model.safetensors") for run in ("whole", "cut"))
        assert [name for name in one if not torch.equal(one[name], other[name])] == [], folder
    point = whole.curve[-1]
    assert point.averaged_dev_loss is not None
    assert point.clipped_norm is not None
    assert point.update_clipped_fraction is not None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"training.keep_best": True, "training.averaging": "swa", "training.evaluate_every": 2},
            "leave out one of them",
        ),
        ({"training.optimizer": "schedule-free", "training.averaging": "ema"}, "leave training.averaging out"),
        (
            {"training.optimizer": {"use": "galore", "per_layer": True}, "training.step_tokens": 300},
            "leave training.step_tokens out",
        ),
        (
            {"training.optimizer": {"use": "galore", "per_layer": True}, "training.log_token_gradients": True},
            "leave training.log_token_gradients out",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_trained(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        train(make_spec(**{"training.clipping": "none", **changes}), tmp_path / "run", home=home)
