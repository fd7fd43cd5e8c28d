"""Position schemes in CTranslate2's words: vectors added to embeddings, turned features, or what attention adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.contracts import Position
from zoo.models.lowering import additive_bias
from zoo.spec.options import Chosen

_HOOKS = ("embed", "inputs", "rotate", "score", "output")
"""What a scheme may do, each where it overrides the method of the contract."""
_MULTIPLE = 8
"""Tables have rows for padding: on some devices CTranslate2 pads lengths to a multiple of this."""


@dataclass
class Places:
    """How one stack tells positions: at most one of each, and `table` with nothing else."""

    table: Tensor | None = None
    """``[P, D]``: what is added to the embedding at each position."""
    biases: list[Tensor] = field(default_factory=list)
    """Of ``[buckets, H]``: what is added to logits, a bucket for each distance."""
    rotary: Any = None
    """The options of the scheme that turns queries and keys."""
    keys: list[Tensor] = field(default_factory=list)
    """Of each layer ``[2k + 1, Dh]``: what stands beside keys by clipped distance."""
    values: list[Tensor] = field(default_factory=list)
    """As `keys`, beside values."""

    @property
    def bias(self) -> Tensor | None:
        """``[buckets, H]``: the sum of `biases`."""
        return torch.stack(self.biases).sum(0) if self.biases else None

    @property
    def in_attention(self) -> bool:
        """Whether attention itself knows positions."""
        return bool(self.biases or self.rotary is not None or self.keys)


def places_of(model: Any, side: str) -> Places:
    """The position scheme of a stack, ``encoder`` or ``decoder``, by its own weights.

    Tables end at ``model.max_positions``, the longest sequence that the runtime gives. Raises InputError, naming the
    component, for what CTranslate2 cannot say.
    """
    stack = model.get_submodule(side)
    chosen = model.section.position_of(side)
    where = f"model.{side}.position" if model.section.stack(side).position is not None else "model.position"
    found, table = Places(), None
    for part, scheme in _parts(chosen, stack.position):
        added = _add(found, part, scheme, stack, where)
        if added is not None:
            table = added if table is None else table + added
    if table is not None and found.in_attention:
        raise InputError(
            f"{where}: CTranslate2 adds no positions to embeddings where attention has any, as in '{chosen.id}'"
        )
    if not found.in_attention:  # without a table of ours CTranslate2 adds sinusoids of its own
        width = model.section.d_model
        found.table = torch.zeros(_rows(stack), width) if table is None else table
    return found


def _parts(chosen: Chosen, scheme: Any) -> Iterator[tuple[Chosen, Any]]:
    """The schemes of a sum, each with its modules; any other is one."""
    if chosen.id != "zoo-positional/sum":
        yield chosen, scheme
        return
    for part, member in zip(chosen.options.of, scheme.members, strict=True):  # type: ignore[attr-defined]
        yield from _parts(part, member)


def _add(found: Places, chosen: Chosen, scheme: Any, stack: Any, where: str) -> Tensor | None:
    """Add one scheme to what is `found`; returns its vectors ``[P, D]`` where it adds some to embeddings."""
    does = {hook for hook in _HOOKS if getattr(type(scheme), hook) is not getattr(Position, hook)}
    layers = [scheme.layer(index) for index in range(len(stack.layers))]
    alike = all(layer is scheme for layer in layers)
    if chosen.id == "zoo-positional/rotary" and chosen.options.values == "none":  # type: ignore[attr-defined]
        if found.rotary is not None:
            raise InputError(f"{where}: CTranslate2 turns queries and keys once, and '{chosen.id}' stands there twice")
        found.rotary = chosen.options
        return None
    if chosen.id == "zoo-positional/shaw":
        if found.keys:
            raise InputError(f"{where}: CTranslate2 has one table of distances, and '{chosen.id}' stands there twice")
        found.keys = [layer.keys for layer in layers]
        found.values = [layer.values for layer in layers if layer.values is not None]
        return None
    if alike and does == {"embed"}:
        return _vectors(chosen, scheme, stack, where)
    if alike and does == {"score"} and scheme.shift_invariant and not scheme.content_dependent:
        found.biases.append(_by_distance(scheme, stack))
        return None
    if alike and not does:
        return None
    what = f" with values: {chosen.options.values}" if chosen.id == "zoo-positional/rotary" else ""  # type: ignore[attr-defined]
    raise InputError(f"{where}: CTranslate2 has no positions like '{chosen.id}'{what}")


def _rows(stack: Any) -> int:
    """How many positions tables have: those of the longest sequence, and some for padding."""
    longest = int(stack.position.context.max_positions)
    return -(-longest // _MULTIPLE) * _MULTIPLE


def _vectors(chosen: Chosen, scheme: Any, stack: Any, where: str) -> Tensor:
    """What the scheme adds to embeddings, ``[P, D]``: asked of it with embeddings of zero, and proved with others."""
    longest = int(scheme.context.max_positions)
    positions = torch.arange(longest)[None]  # [1, P]
    nothing = torch.zeros(1, longest, scheme.context.d_model)
    other = torch.linspace(-2.0, 3.0, nothing.numel()).view_as(nothing)  # [1, P, D]
    vectors: Tensor = scheme.embed(nothing, positions)
    if not torch.allclose(scheme.embed(other, positions), other + vectors, atol=1e-5):
        raise InputError(f"{where}: CTranslate2 but adds vectors to embeddings, and '{chosen.id}' does something else")
    table = vectors.new_zeros(_rows(stack), vectors.shape[-1])
    table[:longest] = vectors[0]
    return table


def _by_distance(scheme: Any, stack: Any) -> Tensor:
    """What the scheme adds to logits, in the buckets of T5's bias: so many that each distance has its own.

    ``[4 P, H]`` where attention looks both ways: distances backwards from 0, then from row 2 P those forwards; ``[2 P,
    H]`` where it looks backwards only. CTranslate2 then never computes a logarithm, whose rounding could differ.
    """
    rows = _rows(stack)
    at = torch.tensor([[rows - 1]])  # [1, 1]
    around = torch.arange(2 * rows - 1)[None]  # [1, 2P - 1]: distances 1 - P to P - 1
    terms = scheme.score(None, None, at, around)
    bias = additive_bias(terms, at, around)[0, :, 0].T.float()  # [2P - 1, H]
    back, forth = bias[:rows].flip(0), bias[rows - 1 :]  # [P, H] each, from distance 0
    causal = scheme.context.causal
    table = bias.new_zeros((2 if causal else 4) * rows, bias.shape[1])
    table[:rows] = back
    if not causal:
        table[2 * rows : 3 * rows] = forth
    return table
