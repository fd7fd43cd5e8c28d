"""Which parts of a model a graft replaced, and which tensors belong to them."""

from __future__ import annotations

import re

from zoo.models.contracts import Side
from zoo.spec import ModelSection
from zoo.spec.options import Chosen

_VOCABULARY = re.compile(r"((en|de)coder\.embed_tokens|lm_head)\.weight|output_bias")
_OWNERS = (
    (re.compile(r"(?P<side>encoder|decoder)\.position\."), ("position",)),
    (re.compile(r"decoder\.cross_position\."), ("cross_position",)),
    (re.compile(r"(encoder|decoder)\.layers\.\d+\.block\."), ("block", "normalization")),
    (re.compile(r"(encoder|decoder)\.final_norm\."), ("block", "normalization")),
    (re.compile(r"(encoder|decoder)\.embedding_norm\."), ("normalization",)),
    (re.compile(r"(encoder|decoder)\.layers\.\d+\.feedforward\."), ("feedforward",)),
    (re.compile(r"decoder\.fusion\."), ("fusion",)),
    (re.compile(r"output_fusion\."), ("output_fusion",)),
    (re.compile(r"(encoder|decoder)\.context_(encoder|stack)\."), ("context_encoder",)),
)
"""Where the host keeps a component's tensors, and the slots that decide what they are."""


class Replacements:
    """The difference between a checkpoint's `own` section and the `section` that a model was assembled from."""

    def __init__(self, own: ModelSection, section: ModelSection, vocabulary_kept: bool) -> None:
        self._own = own
        self._section = section
        self._vocabulary_kept = vocabulary_kept

    def of_vocabulary(self, name: str) -> bool:
        """Whether the tensor has a row for each token."""
        return _VOCABULARY.fullmatch(name) is not None

    def reason(self, name: str) -> str | None:
        """Why the tensor is not the pretrained model's: another component. None where the component is the same."""
        if self.of_vocabulary(name):
            return None if self._vocabulary_kept else "another vocabulary"
        for label, own, mine in self._slots(name):
            if own is None:
                return f"{label}: {mine.name} where there was none"
            if own.id != mine.id:
                return f"{label}: {mine.name} instead of {own.name}"
        return None

    def changed(self, name: str) -> str | None:
        """Of a tensor whose component is the same one with other options: which."""
        for label, own, mine in self._slots(name):
            if own is not None and own.plain() != mine.plain():
                return f"{label}: {mine.name} with other options"
        if name.endswith(".position.table") and self._own.max_positions != self._section.max_positions:
            return "another max_positions"
        return None

    def _slots(self, name: str) -> list[tuple[str, Chosen | None, Chosen]]:
        for pattern, slots in _OWNERS:
            match = pattern.match(name)
            if match is None:
                continue
            if slots == ("position",):
                side: Side = "encoder" if match["side"] == "encoder" else "decoder"
                return [(f"{side} position", _position(self._own, side), _position(self._section, side))]
            if slots == ("cross_position",):
                placed = self._section.cross_position
                return [] if placed is None else [("decoder cross_position", self._own.cross_position, placed)]
            return [(slot, getattr(self._own, slot), getattr(self._section, slot)) for slot in slots]
        return []


def _position(section: ModelSection, side: Side) -> Chosen:
    return section.position_of(side)
