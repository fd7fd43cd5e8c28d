"""Parameter groups: which parameters weight decay leaves alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from torch import nn

from zoo.training.contracts import NamedParameters
from zoo_optimizers.pieces import Piece


def is_embedding(name: str) -> bool:
    """Whether a parameter's name says that it is an embedding table.

    A table shared with the output projection appears under one name only, so the name is all there is to go by:
    some part of it contains ``embed``, or is ``shared`` (the habit of transformers' encoder-decoders).
    """
    return any("embed" in part or part == "shared" for part in name.lower().split("."))


def escapes_decay(name: str, parameter: nn.Parameter, no_decay: Collection[str]) -> bool:
    """Whether weight decay leaves the parameter alone: as a vector, or as an embedding."""
    return ("vectors" in no_decay and parameter.ndim < 2) or ("embeddings" in no_decay and is_embedding(name))


def decay_groups(parameters: NamedParameters, weight_decay: float, no_decay: Collection[str]) -> list[dict[str, Any]]:
    """Optimizer groups with and without weight decay, in the order of `parameters`; an empty group is left out."""
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in parameters:
        (spared if escapes_decay(name, parameter, no_decay) else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def piece_groups(pieces: Sequence[Piece], weight_decay: float, no_decay: Collection[str]) -> list[dict[str, Any]]:
    """`decay_groups` of the pieces' views. A piece is decayed where its parameter is."""
    decayed = [piece.view for piece in pieces if not escapes_decay(piece.name, piece.parameter, no_decay)]
    spared = [piece.view for piece in pieces if escapes_decay(piece.name, piece.parameter, no_decay)]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
