"""The smoke test of a spec: does its model assemble, learn one step and generate? No data, no tokenizer, a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.models import assemble
from zoo.models.configuration import NO_TOKENS
from zoo.models.decoding import Decoding
from zoo.models.modes import evaluating
from zoo.models.scores import negative_log_likelihood
from zoo.models.seeding import own_randomness
from zoo.spec import Spec
from zoo.spec.peer_spec import PeerSpec
from zoo.tasks.contracts import Input
from zoo.tasks.peers import Peer

VOCABULARY = 32
"""Substitute for the tokenizer's size: ids 0 to 3 are special."""
SOURCE_VOCABULARY = 40
"""That of the source's own tokenizer, where the spec has separate ones."""


def smoke(spec: Spec) -> None:
    """Raises AssertionError naming the spec where loss, gradients or output are not what any model gives, InputError
    where it has a peer that is not installed."""
    if isinstance(spec, PeerSpec):
        peer: Peer = spec.peer.create(1)
        peer.facts()
        return
    if spec.model.finds_boxes:
        _smoke_of_a_detector(spec)
        return
    if spec.model.makes_images:
        _smoke_of_a_generator(spec)
        return
    own = SOURCE_VOCABULARY if spec.has_separate_tokenizers else None
    model = assemble(spec.model, VOCABULARY, source_vocabulary_size=own, seed=spec.seed, spec=spec)
    generator = torch.Generator().manual_seed(spec.seed)
    encoded = _SOURCES[model.reads](model, own or VOCABULARY, generator)
    targets = torch.randint(4, VOCABULARY, (2, 5), generator=generator)  # [B, T]
    loss = _loss(model, encoded, targets)
    _expect(bool(torch.isfinite(loss)), spec, f"a loss of {loss.item()}")
    _expect_gradients(model, loss, spec)
    with evaluating(model):
        strategy: Decoding = spec.decoding.strategy.create()
        inputs = model.prompts(encoded)
        output = strategy.generate(model, inputs, max_new_tokens=4, keys=(0, 1))
        output = model.written(output, inputs)  # [B, 1 + T]
    _expect(output.shape[0] == 2 and 2 <= output.shape[1] <= 5, spec, f"outputs of shape {tuple(output.shape)}")


def _smoke_of_a_detector(spec: Spec) -> None:
    classes = {"categories": [1, 2], "id2label": {0: "1", 1: "2"}}
    model = assemble(spec.model, 2, seed=spec.seed, spec=spec, token_ids=classes)
    encoded = _images(model, VOCABULARY, torch.Generator().manual_seed(spec.seed))
    boxes = torch.tensor([[0.5, 0.5, 0.6, 0.4], [0.3, 0.3, 0.2, 0.3]])  # [n, 4]
    labels = [
        {"class_labels": torch.tensor([0, 1]), "boxes": boxes},
        {"class_labels": torch.zeros(0, dtype=torch.int64), "boxes": boxes[:0]},  # nothing to be found
    ]
    loss = model(**encoded, labels=labels).loss
    _expect(bool(torch.isfinite(loss)), spec, f"a loss of {loss.item()}")
    _expect_gradients(model, loss, spec)
    with evaluating(model):
        found = model.detect(**encoded)
    for item in found:
        inside = bool(((item.boxes >= 0) & (item.boxes <= 1)).all())
        _expect(inside and item.scores.isfinite().all().item() is True, spec, "boxes outside of the image")
    _expect(len(found) == 2, spec, f"what is found in {len(found)} images of 2")


def _smoke_of_a_generator(spec: Spec) -> None:
    model = assemble(spec.model, 1, seed=spec.seed, spec=spec, token_ids={**NO_TOKENS, "image_size": [32, 32]})
    model.train()
    real = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(spec.seed)) * 2 - 1  # [B, C, H, W]
    with own_randomness(spec.seed, "smoke"):
        loss = model(real).loss
    _expect(bool(torch.isfinite(loss)), spec, f"a loss of {loss.item()}")
    _expect_gradients(model, loss, spec)
    with evaluating(model):
        images = model.generate_images(2, seed=0)
    _expect(images.shape == (2, 3, 32, 32), spec, f"images of shape {tuple(images.shape)}")
    _expect(bool(images.isfinite().all()), spec, "pixels that are not finite")


def _expect_gradients(model: Any, loss: Tensor, spec: Spec) -> None:
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            _expect(bool(parameter.grad.isfinite().all()), spec, f"a gradient of {name} that is not finite")
    _expect(any(p.grad is not None and p.grad.any() for p in model.parameters()), spec, "no gradient anywhere")


def _loss(model: Any, encoded: dict[str, Tensor], targets: Tensor) -> Tensor:
    if model.own_loss:
        own: Tensor = model(**encoded, labels=targets).loss
        return own
    logits = model.target_logits(encoded, targets)  # [B, T, V]
    return negative_log_likelihood(
        logits.flatten(0, 1), targets.flatten(), log_probabilities=model.log_probabilities, reduction="mean"
    )


def _texts(model: Any, vocabulary: int, generator: torch.Generator) -> dict[str, Tensor]:
    sources = torch.randint(4, vocabulary, (2, 6), generator=generator)  # [B, S]
    mask = torch.ones_like(sources)  # [B, S]
    mask[1, 4:] = 0
    return {"input_ids": sources, "attention_mask": mask}


def _images(model: Any, vocabulary: int, generator: torch.Generator) -> dict[str, Tensor]:
    sizes = ((64, 320), (48, 180))
    pixels = [torch.randint(256, (*size, 3), generator=generator, dtype=torch.uint8).numpy() for size in sizes]
    return dict(model.image_processor(pixels, return_tensors="pt"))


_SOURCES: dict[Input, Callable[[Any, int, torch.Generator], dict[str, Tensor]]] = {"text": _texts, "image": _images}
"""Two made-up sources of different lengths, as the model takes them."""


def _expect(holds: bool, spec: Spec, found: str) -> None:
    if not holds:
        raise AssertionError(f"the model of '{spec.name}' gives {found}")
