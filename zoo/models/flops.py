"""How many parameters and floating-point operations a model has, part by part, so that arms can be matched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo.models.backends import EAGER
from zoo.models.base import ZooModel
from zoo.models.modes import evaluating

_TOKEN_MATRICES = ("embed_tokens", "lm_head")
TRAINING_FACTOR = 3
"""A training step costs three forward passes: the backward pass counts for two (Kaplan et al. 2020, section 2.1)."""


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters; a matrix that several places share counts once, where it comes first."""

    total: int
    embedding: int
    """Token matrices: source, target and output. Tables of positions are not among them."""
    parts: dict[str, int]
    """By part of each stack, such as ``decoder.self_attention``, all layers together; in the model's order."""

    @property
    def non_embedding(self) -> int:
        return self.total - self.embedding


@dataclass(frozen=True)
class ForwardFlops:
    """Floating-point operations of one forward pass over one example; a multiplication and an addition are two.

    Matrix products count; what is done element by element (softmax, normalisation, activations, biases of positions)
    does not. Masked scores count as they are computed.
    """

    source_tokens: int
    """The end token, or the separator in its place, counts."""
    target_tokens: int
    """The end token counts."""
    context_tokens: int
    """Of a second source, end token included; 0 where the model reads none."""
    total: int
    parts: dict[str, int]
    """As in `ParameterCounts`, without those that cost nothing."""

    @property
    def per_token(self) -> float:
        """Of a token, wherever it stands."""
        return self.total / (self.source_tokens + self.target_tokens + self.context_tokens)

    @property
    def training(self) -> int:
        """Forward and backward, by the convention of `TRAINING_FACTOR`."""
        return TRAINING_FACTOR * self.total


def parameter_counts(model: torch.nn.Module) -> ParameterCounts:
    """Count a model's parameters by part."""
    parts: Counter[str] = Counter()
    embedding = 0
    for name, parameter in model.named_parameters():
        parts[part_of(name.rpartition(".")[0])] += parameter.numel()
        if any(piece in _TOKEN_MATRICES for piece in name.split(".")):
            embedding += parameter.numel()
    return ParameterCounts(parts.total(), embedding, dict(parts))


@torch.no_grad()
def forward_flops(
    model: ZooModel, source_tokens: int, target_tokens: int, context_tokens: int = 0, *, source_loss: bool = False
) -> ForwardFlops:
    """Count the operations of a pass over one source and one target of these lengths, as training makes it.

    Where the source is an image its tokens are patches. A model that reads a context is given one of `context_tokens`;
    others are given none. With `source_loss` a language model predicts the source's tokens too. By torch's counter,
    with attention written out, as it cannot see into fused kernels. Raises ValueError for lengths below one.
    """
    if source_tokens < 1 or target_tokens < 1:
        raise ValueError(f"lengths {source_tokens} and {target_tokens}: expected at least one token on each side")
    target = torch.full((1, target_tokens), int(model.config.eos_token_id), device=model.device)  # [1, T]
    encoded = model.source_of_length(source_tokens)
    context_tokens = context_tokens if model.reads_context else 0
    if context_tokens:
        context = target.new_full((1, context_tokens), int(model.config.eos_token_id))  # [1, C]
        encoded |= {"context_input_ids": context, "context_attention_mask": torch.ones_like(context)}
    counter = FlopCounterMode(display=False)
    with _written_out(model), _context_as_in_training(model), counter, _attributed(model, counter) as parts:
        if source_loss:
            row = torch.cat((encoded["input_ids"], target[:, 1:]), dim=1)
            model(row, use_cache=False)  # logits of all S + T - 1 tokens
        elif model.own_loss:
            model(**encoded)
        else:
            model.target_logits(encoded, target)
    found = {part: parts[part] for part in dict.fromkeys(part_of(name) for name, _ in model.named_modules())}
    return ForwardFlops(
        source_tokens,
        target_tokens,
        context_tokens,
        int(counter.get_total_flops()),
        {part: count for part, count in found.items() if count},
    )


def part_of(module: str) -> str:
    """The part that a module belongs to: ``decoder.layers.3.self_attention.qkv`` to ``decoder.self_attention``."""
    pieces = [piece for piece in module.split(".") if piece != "layers" and not piece.isdigit()]
    return ".".join(pieces[:2]) or "model"


@contextmanager
def _attributed(model: torch.nn.Module, counter: FlopCounterMode) -> Iterator[Counter[str]]:
    """Inside, what `counter` counts goes to the part of the innermost module that runs.

    Its own table is by containing modules: a block that calls the sublayers would have all that they do.
    """
    parts: Counter[str] = Counter()
    running = [part_of("")]
    seen = 0

    def settle() -> None:
        nonlocal seen
        total = int(counter.get_total_flops())
        parts[running[-1]] += total - seen
        seen = total

    def enter(part: str) -> None:
        settle()
        running.append(part)

    def leave() -> None:
        settle()
        running.pop()

    handles = []
    for name, module in model.named_modules():
        part = part_of(name)
        handles.append(module.register_forward_pre_hook(lambda *_, part=part: enter(part)))
        handles.append(module.register_forward_hook(lambda *_: leave(), always_call=True))
    try:
        yield parts
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _written_out(model: ZooModel) -> Iterator[None]:
    """Inside, the model is in evaluation mode and its attention eager."""
    attention = model.config._attn_implementation
    with evaluating(model):
        model.config._attn_implementation = EAGER
        try:
            yield
        finally:
            model.config._attn_implementation = attention


@contextmanager
def _context_as_in_training(model: ZooModel) -> Iterator[None]:
    """Inside, controls that read a context in training alone, or one of another example, read the one that is given."""
    reader = model.encoder.context_reader if model.reads_context else None
    if reader is None or reader.options.context not in {"ignored", "shuffled"}:
        yield
        return
    options = reader.options
    reader.options = options.model_copy(update={"context": "true"})
    try:
        yield
    finally:
        reader.options = options
