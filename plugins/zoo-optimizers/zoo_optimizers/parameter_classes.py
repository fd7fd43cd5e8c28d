"""What part of a model a parameter belongs to, by its name: there is nothing else to go by."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal, get_args

from zoo.training.contracts import NamedParameters
from zoo_optimizers.groups import is_embedding

ParameterClass = Literal["embeddings", "output", "attention", "feedforward", "norms", "other"]
CLASSES: tuple[ParameterClass, ...] = get_args(ParameterClass)
_HEADS = {"lm_head", "output_projection"}


def class_of(name: str) -> ParameterClass:
    """The class of the parameter `name`. A normalisation inside an attention layer is one of the norms."""
    parts = name.lower().split(".")
    if any("norm" in part for part in parts):
        return "norms"
    if _HEADS.intersection(parts):
        return "output"
    if is_embedding(name):
        return "embeddings"
    if any("attention" in part or part.endswith("attn") for part in parts):
        return "attention"
    if any("feedforward" in part or part in {"ffn", "mlp"} for part in parts):
        return "feedforward"
    return "other"


def output_names(parameters: NamedParameters) -> Set[str]:
    """The names of the output matrix, which may be an embedding table's.

    A matrix that is tied stands under its first name only. So where there is no head, the output is the decoder's
    table, and without one of its own the table that both sides share.
    """
    names = [name for name, _ in parameters]
    heads = {name for name in names if class_of(name) == "output"}
    tables = {name for name in names if class_of(name) == "embeddings"}
    return heads or {name for name in tables if "decoder" in name.split(".")} or tables
