"""Logits of a few tokens at a time: the same loss and gradients, without the logits of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from zoo.errors import InputError
from zoo.models import assemble
from zoo.spec import Spec
from zoo.training.components import Components
from zoo.training.contracts import LossContext, TokenLoss
from zoo.training.data.batching import MicroBatch
from zoo.training.data.collate import Batch
from zoo.training.data.layouts import layout_of
from zoo.training.data.ragged import EncodedPairs, Ragged, offsets_of
from zoo.training.losses.loss import dev_loss, micro_batch_objective

CPU = torch.device("cpu")
VOCABULARY = 61


@pytest.fixture
def pairs() -> EncodedPairs:
    """Nine pairs of different lengths, with ids below `VOCABULARY`, each ending in eos."""
    generator = np.random.default_rng(1)

    def side() -> Ragged:
        lengths = generator.integers(2, 8, 9)
        ids = generator.integers(4, VOCABULARY, lengths.sum()).astype(np.int32)
        ids[lengths.cumsum() - 1] = 1
        return Ragged(ids, offsets_of(lengths))

    return EncodedPairs(side(), side(), 0)


def model_of(spec: Spec) -> Any:
    model = assemble(spec.model, VOCABULARY, seed=1)
    if model.logit_bias is not None:
        model.logit_bias.copy_(torch.linspace(-1, 1, VOCABULARY))
    return model


def batch_of(spec: Spec, model: Any, pairs: EncodedPairs) -> Batch:
    rows = np.array([0, 3, 5, 9]) if spec.training.packing else None
    collate = layout_of(model).collator(pairs, model.config, source_loss=spec.training.source_loss)
    return collate(MicroBatch(np.arange(9), rows))


def loss_and_gradients(
    spec: Spec, pairs: EncodedPairs, chunk: int | None, precision: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Of one micro-batch, scaled as the trainer scales it; dropout draws the same masks each time."""
    model = model_of(spec).train()
    batch = batch_of(spec, model, pairs)
    objective: TokenLoss = spec.training.objective.create()
    context = LossContext(step=1, total_steps=2, examples=batch.examples)
    torch.manual_seed(0)
    given = {"device": CPU, "precision": precision, "chunk": chunk}
    loss = micro_batch_objective(objective, model, batch, context, **given) / batch.target_tokens
    loss.backward()
    found = {name: item.grad for name, item in model.named_parameters() if item.grad is not None}
    return {"the loss": loss.detach(), **found}


LANGUAGE_MODEL = {"model.architecture": "causal-lm", "model.encoder": None, "model.fusion": None}
MODELS: dict[str, dict[str, Any]] = {
    "tied": {},
    "untied, scaled, with a bias": {
        "model.tie_embeddings": "none",
        "model.scale_output": True,
        "model.output_bias": True,
    },
    "packed language model that learns its sources": {
        **LANGUAGE_MODEL,
        "training.packing": True,
        "training.source_loss": True,
    },
    "untied language model": {**LANGUAGE_MODEL, "model.tie_embeddings": "none"},
    "two passes": {"training.objective": {"use": "r-drop", "of": {"use": "z-loss", "weight": 0.1}}},
    "dropped tokens": {"training.objective": {"use": "ent", "threshold": 1.01}},
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("chunk", [7, 1000])
def test_loss_and_gradients_by_chunks_are_those_of_all_at_once(
    make_spec: Callable[..., Spec], pairs: EncodedPairs, name: str, chunk: int
) -> None:
    spec = make_spec(**MODELS[name])
    whole, chunked = (loss_and_gradients(spec, pairs, size) for size in (None, chunk))
    assert whole.keys() == chunked.keys()
    assert len(whole) > 10
    for key, expected in whole.items():
        # Each gradient by its own size: the last bit of the largest entry is what another order of a sum may move.
        difference = (chunked[key] - expected).norm() / expected.norm()
        assert difference < 1e-6, f"{key}: {difference:.2g}"


def test_in_bfloat16_chunks_lose_no_more_than_all_at_once(make_spec: Callable[..., Spec], pairs: EncodedPairs) -> None:
    spec = make_spec(**{"model.tie_embeddings": "none", "model.output_bias": True})
    exact = loss_and_gradients(spec, pairs, None)
    whole, chunked = (loss_and_gradients(spec, pairs, chunk, torch.bfloat16) for chunk in (None, 7))
    for key, expected in exact.items():
        assert chunked[key].dtype == whole[key].dtype == torch.float32
        far, near = ((found[key] - expected).norm() / expected.norm() for found in (chunked, whole))
        assert far < 1.5 * near + 1e-3, key


def test_the_graph_of_a_loss_by_chunks_is_gone_through_once(
    make_spec: Callable[..., Spec], pairs: EncodedPairs
) -> None:
    spec = make_spec()
    model = model_of(spec)
    batch = batch_of(spec, model, pairs)
    given = {"device": CPU, "precision": torch.float32, "chunk": 7}
    objective = spec.training.objective.create()
    loss = micro_batch_objective(objective, model, batch, LossContext(step=1, total_steps=2), **given)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="cannot be gone through twice"):
        loss.backward()


class Largest(TorchDispatchMode):
    """The most rows over the vocabulary that any tensor had."""

    rows = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for item in tree_leaves(result):
            if isinstance(item, Tensor) and item.ndim > 1 and item.shape[-1] == VOCABULARY:
                self.rows = max(self.rows, item.numel() // VOCABULARY)
        return result


@pytest.mark.parametrize("chunk", [20, None])
def test_no_tensor_has_more_rows_over_the_vocabulary_than_a_chunk(
    make_spec: Callable[..., Spec], pairs: EncodedPairs, chunk: int | None
) -> None:
    """Forwards, backwards and in the development loss."""
    spec = make_spec()
    tokens = len(pairs.targets.ids)
    # A transposed view of the matrix [V, D], or of its gradient, has D rows.
    assert tokens > 20 > spec.model.d_model
    with Largest() as trained:
        loss_and_gradients(spec, pairs, chunk)
    model = model_of(spec)
    with Largest() as evaluated:
        dev_loss(model, iter([batch_of(spec, model, pairs)]), CPU, torch.float32, chunk)
    assert trained.rows == evaluated.rows == (chunk or tokens)


def test_the_development_loss_by_chunks_is_that_of_all_at_once(
    make_spec: Callable[..., Spec], pairs: EncodedPairs
) -> None:
    spec = make_spec(**MODELS["untied, scaled, with a bias"])
    model = model_of(spec)
    whole, chunked = (
        dev_loss(model, iter([batch_of(spec, model, pairs)]), CPU, torch.float32, chunk) for chunk in (None, 7)
    )
    assert chunked == pytest.approx(whole, rel=1e-6)


def test_what_needs_all_logits_at_once_is_refused(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(InputError, match=r"an output fusion reads the logits of all tokens at once: leave out"):
        make_spec(**{"training.logits_chunk": 100, "model.output_fusion": "surface-soft"})
    spec = make_spec(**{"training.logits_chunk": 100, "training.objective": "unlikelihood"})
    with pytest.raises(
        InputError, match=r"logits_chunk: the objective 'zoo-objectives/unlikelihood', .* leave logits_chunk"
    ):
        Components.build(spec.training, model_of(spec))
    by_fraction = {"training.objective": {"use": "ent", "fraction": 0.1}}
    for changes, row_wise in ((by_fraction, False), ({}, True)):
        spec = make_spec(**{"training.logits_chunk": 100}, **changes)
        if row_wise:
            assert Components.build(spec.training, model_of(spec)).objective.row_wise
            continue
        with pytest.raises(InputError, match="logits_chunk"):
            Components.build(spec.training, model_of(spec))


def test_a_spec_without_chunks_keeps_its_plain_form(make_spec: Callable[..., Spec]) -> None:
    assert "logits_chunk" not in make_spec().plain()["training"]
    assert make_spec(**{"training.logits_chunk": 64}).plain()["training"]["logits_chunk"] == 64
