"""Which parts of a model a graft replaced, and which tensors belong to them."""

from __future__ import annotations

import re

from zoo.models.contracts import Side
from zoo.spec import ModelSection
from zoo.spec.options import Chosen

_VOCABULARY = re.compile(r"((en|de)coder\.embed_tokens|lm_head)\.weight|lm_head\.bias|output_bias")
_STACK = r"(?P<side>encoder|decoder)(\.context_stack)?"
_OWNERS = (
    (re.compile(r"(encoder|decoder)\.context_(encoder|stack)\."), ("context_encoder",)),
    (re.compile(rf"{_STACK}\.position\."), ("position",)),
    (re.compile(r"decoder\.cross_position\."), ("cross_position",)),
    (re.compile(rf"{_STACK}\.layers\.\d+\.block\."), ("block", "normalization")),
    (re.compile(rf"{_STACK}\.final_norm\."), ("block", "normalization")),
    (re.compile(rf"{_STACK}\.embedding_norm\."), ("normalization",)),
    (re.compile(rf"{_STACK}\.layers\.\d+\.feedforward\."), ("feedforward",)),
    (re.compile(r"decoder\.fusion\."), ("fusion",)),
    (re.compile(r"output_fusion\."), ("output_fusion",)),
)
"""Where the host keeps a component's tensors, and the slots that decide what they are."""
_MADE_OF = (re.compile(r"(encoder|decoder)\.context_encoder\."), ("block", "normalization", "feedforward"))
"""A component that holds others of the model, under names of its own."""
_TABLES = re.compile(r"(encoder|decoder)\.(cross_)?position\.|encoder\.context_stack\.position\.")
"""Where tensors may have a row for each position."""


class Replacements:
    """The difference between a checkpoint's `own` section and the `section` that a model was assembled from."""

    def __init__(self, own: ModelSection, section: ModelSection, vocabulary_kept: bool) -> None:
        self._own = own
        self._section = section
        self._vocabulary_kept = vocabulary_kept

    @property
    def frames(self) -> int:
        """How many tokens the model writes at one place: rows of a vocabulary come one frame behind the other."""
        return 1 if self._own.image is None else self._own.image.frames

    def of_vocabulary(self, name: str) -> bool:
        """Whether the tensor has a row for each token, or for each token of each frame."""
        return _VOCABULARY.fullmatch(name) is not None

    def reason(self, name: str) -> str | None:
        """Why the tensor is not the pretrained model's: another component. None where the component is the same."""
        if self.of_vocabulary(name):
            return None if self._vocabulary_kept else "another vocabulary"
        for label, own, mine in self._slots(name):
            if own is None and mine is not None:
                return f"{label}: {mine.name} where there was none"
            if own is not None and mine is None:
                return f"{label}: none instead of {own.name}"
            if own is not None and mine is not None and own.id != mine.id:
                return f"{label}: {mine.name} instead of {own.name}"
        return None

    def changed(self, name: str) -> str | None:
        """Of a tensor whose component is the same one with other options: which."""
        for label, own, mine in self._slots(name):
            if own is not None and mine is not None and own.plain() != mine.plain():
                return f"{label}: {mine.name} with other options"
        pattern, slots = _MADE_OF
        for slot in slots if pattern.match(name) else ():
            if getattr(self._own, slot) != getattr(self._section, slot):
                return f"another {slot} in the context encoder"
        if self.of_vocabulary(name) and self.frames > 1:
            return "another vocabulary"
        if _TABLES.match(name) and self._own.max_positions != self._section.max_positions:
            return "another max_positions"
        return None

    def _slots(self, name: str) -> list[tuple[str, Chosen | None, Chosen | None]]:
        found: list[tuple[str, Chosen | None, Chosen | None]] = []
        for pattern, slots in _OWNERS:
            match = pattern.match(name)
            if match is None:
                continue
            if slots == ("position",):
                side: Side = "encoder" if match["side"] == "encoder" else "decoder"
                found.append((f"{side} position", _position(self._own, side), _position(self._section, side)))
            elif slots == ("cross_position",):
                own, mine = self._own.cross_position, self._section.cross_position
                found.append(("decoder cross_position", own, mine))
            else:
                found += [(slot, getattr(self._own, slot), getattr(self._section, slot)) for slot in slots]
        return found


def _position(section: ModelSection, side: Side) -> Chosen:
    if side == "encoder" and section.image is not None:
        return section.image.patch_position
    return section.position_of(side)
