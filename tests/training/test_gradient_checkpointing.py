"""Layers that are computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from zoo.errors import InputError
from zoo.models._compat import compute_layers_again
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import prepare
from zoo.training.building import assemble_for
from zoo.training.data.encoding import encode_pairs
from zoo.training.losses.loss import real_logits
from zoo.training.trainer import ZooTrainer

LANGUAGE_MODEL = {"model.architecture": "causal-lm", "model.encoder": None, "model.fusion": None}


def step_of(spec: Spec, home: DataHome, folder: Path) -> tuple[dict[str, torch.Tensor], int]:
    """Gradients of a run's first step, and the bytes that a forward pass keeps for the backward one."""
    prepared = prepare(spec, home)
    pairs = encode_pairs(prepared.tokenizers, prepared.task.examples("train"), 256)
    trainer = ZooTrainer(assemble_for(spec, prepared), spec, folder, train=pairs, dev=None)
    own = {item.untyped_storage().data_ptr() for item in trainer.model.parameters()}
    kept: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage  # held, so that no other storage gets its place
        return tensor

    trainer.begin(trainer.state)
    trainer._loader.go_on(0, 0)
    (step,), tokens = trainer.get_batch_samples(iter(trainer._loader), 1, trainer.device)
    trainer.training_step(trainer.model, step, tokens)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = real_logits(trainer.model, step.shares[0].batch, use_cache=False)
    assert scores.requires_grad
    gradients = {name: item.grad for name, item in trainer.model.named_parameters() if item.grad is not None}
    return gradients, sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize(
    "changes",
    [{}, {"training.packing": True, "training.gradient_accumulation": 2, "model.position": "rotary"}, LANGUAGE_MODEL],
    ids=["pairs", "packed", "language-model"],
)
def test_gradients_are_those_without_and_less_is_kept(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """With dropout: the second pass draws the masks of the first."""
    changes = {
        "model.decoder": {"layers": 4},
        "model.dropout": 0.2,
        "model.attention_dropout": 0.2,
        "training.batch_tokens": 600,
        **changes,
    }
    plain, kept = step_of(make_spec(**changes), home, tmp_path)
    again, less = step_of(make_spec(**changes, **{"training.gradient_checkpointing": True}), home, tmp_path)
    assert again.keys() == plain.keys()
    for name, gradient in again.items():
        torch.testing.assert_close(gradient, plain[name], rtol=1e-6, atol=1e-6, msg=name)
    assert less < 0.6 * kept, f"{less} of {kept} bytes"


def test_a_model_without_such_layers_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="training.gradient_checkpointing: no layer of this model can be computed"):
        compute_layers_again(torch.nn.Linear(2, 2))
