"""Weights of BartForConditionalGeneration and MBartForConditionalGeneration."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from zoo.models.pretrained import marian
from zoo.models.pretrained.pieces import Piece, linear
from zoo.spec.model_section import ModelSection

OFFSET = 2
"""Rows of BART's position tables before that of position 0: they stand there for padding, and are never read."""


def translation(section: ModelSection) -> Iterator[Piece]:
    """Every tensor in the model's own scheme. Names as in BartModel, without the prefix ``model.``."""
    yield from marian.translation(section)
    for side in ("encoder", "decoder"):
        yield Piece(f"{side}.position.table", (f"{side}.embed_positions.weight",), _after_offset)
        yield from linear(f"{side}.embedding_norm", (f"{side}.layernorm_embedding",), bias=True)


def mbart_translation(section: ModelSection) -> Iterator[Piece]:
    """As BART's, with the last normalisation of each stack."""
    yield from translation(section)
    for side in ("encoder", "decoder"):
        yield from linear(f"{side}.final_norm", (f"{side}.layer_norm",), bias=True)


def _after_offset(table: Tensor) -> Tensor:
    return table[OFFSET:]  # [P, D]
