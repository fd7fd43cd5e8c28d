"""Parameter groups: which parameters weight decay leaves alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from zoo.training.contracts import NamedParameters


def is_embedding(name: str) -> bool:
    """Whether a parameter's name says that it is an embedding table.

    A table shared with the output projection appears under one name only, so the name is all there is to go by:
    some part of it contains ``embed``, or is ``shared`` (the habit of transformers' encoder-decoders).
    """
    return any("embed" in part or part == "shared" for part in name.lower().split("."))


def decay_groups(parameters: NamedParameters, weight_decay: float, no_decay: Collection[str]) -> list[dict[str, Any]]:
    """Optimizer groups with and without weight decay, in the order of `parameters`; an empty group is left out."""
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in parameters:
        spare = ("vectors" in no_decay and parameter.ndim < 2) or ("embeddings" in no_decay and is_embedding(name))
        (spared if spare else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
