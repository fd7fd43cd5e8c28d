"""Whole runs: cut and resumed, evaluated on the way, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from zoo.errors import InputError
from zoo.spec import Spec, resolve
from zoo.tasks import DataHome
from zoo.training import train

PER_LAYER = {"use": "galore", "rank": 4, "update_gap": 5, "per_layer": True}
CHOICES: dict[str, dict[str, Any]] = {
    "sgd": {"use": "sgd"},
    "stable-adamw": {"use": "stable-adamw"},
    "lion": {"use": "lion"},
    "muon": {"use": "muon"},
    "adam-mini": {"use": "adam-mini"},
    "schedule-free": {"use": "schedule-free"},
    "galore": PER_LAYER,
    "adamw-8bit": {"use": "adamw-8bit", "min_8bit_size": 256},
    "adafactor": {"use": "adafactor", "relative_step": True, "scale_parameter": True},
}


def spec_with(optimizer: dict[str, Any], **training: Any) -> Spec:
    return resolve(
        {
            "name": "tiny",
            "task": {
                "use": "translation",
                "corpus": {"use": "generated", "pairs": 200, "dev_pairs": 20, "test_pairs": 10, "vocabulary": 40},
                "source": "qaa",
                "target": "qab",
            },
            "tokenizer": {"use": "unigram", "vocab_size": 120},
            "model": {
                "d_model": 16,
                "heads": 2,
                "encoder": {"layers": 1},
                "decoder": {"layers": 1},
                "position": "sinusoidal",
                "block": "pre-norm",
                "normalization": "layer-norm",
                "feedforward": {"use": "mlp", "width": 32, "activation": "relu"},
                "fusion": "top",
                "dropout": 0.1,
            },
            "training": {
                "steps": 8,
                "batch_tokens": 200,
                "objective": "cross-entropy",
                "optimizer": optimizer,
                "schedule": {"use": "constant", "warmup": 3},
                "clipping": "none",
                "log_every": 4,
                **training,
            },
            "decoding": {"strategy": "greedy"},
            "evaluation": {"metrics": ["bleu"]},
        }
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


class Died(BaseException):
    """Stands for the end of the process: no part of a run may catch it."""


def die_in_step(patch: pytest.MonkeyPatch, step: int) -> None:
    from zoo.training.trainer import ZooTrainer

    original = ZooTrainer.training_step

    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step + 1 == step:
            raise Died
        return original(self, *args, **kwargs)

    patch.setattr(ZooTrainer, "training_step", dying)


def assert_same_weights(one: Path, other: Path) -> None:
    left, right = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CHOICES)
def test_a_run_that_was_cut_ends_with_the_weights_and_curve_of_one_that_was_not(
    name: str, home: DataHome, tmp_path: Path
) -> None:
    """Cut in step 7, after a checkpoint of step 4 and an evaluation of step 6."""
    if name == "adamw-8bit":
        pytest.importorskip("bitsandbytes")
    spec = spec_with(CHOICES[name], save_every=4, evaluate_every=3)
    whole = train(spec, tmp_path / "whole", home=home)
    with pytest.MonkeyPatch.context() as patch:
        die_in_step(patch, 7)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    resumed = train(spec, tmp_path / "cut", resume=True, home=home)
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    assert resumed.curve == whole.curve
    assert resumed.facts["optimizer_state_bytes"] == whole.facts["optimizer_state_bytes"] > 0
    assert [point.step for point in whole.curve] == [3, 4, 6, 8]
    assert whole.curve[-1].gradient_norm
    assert (whole.curve[2].dev_loss or 0) < (whole.curve[0].dev_loss or 0)


def test_schedule_free_saves_the_average_and_evaluating_it_changes_nothing(home: DataHome, tmp_path: Path) -> None:
    quiet = train(spec_with(CHOICES["schedule-free"]), tmp_path / "quiet", home=home)
    spec = spec_with(CHOICES["schedule-free"], evaluate_every=2, save_every=8)
    watched = train(spec, tmp_path / "watched", home=home)
    assert_same_weights(tmp_path / "quiet", tmp_path / "watched")
    assert_same_weights(tmp_path / "quiet", tmp_path / "watched" / "checkpoints" / "step-00000008")
    assert watched.facts["optimizer_state_bytes"] == quiet.facts["optimizer_state_bytes"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gradient_accumulation": 2}, "training.gradient_accumulation must be 1, not 2; raise batch_tokens"),
        ({"clipping": {"use": "norm"}}, "'zoo-optimizers/norm' clips them together: set training.clipping to 'none'"),
    ],
)
def test_what_needs_all_gradients_at_once_is_refused_beside_steps_in_the_backward_pass(
    changes: dict[str, Any], message: str, home: DataHome, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="galore' steps in the backward pass") as refused:
        train(spec_with(PER_LAYER, **changes), tmp_path / "out", home=home)
    assert refused.value.message.endswith(message)
