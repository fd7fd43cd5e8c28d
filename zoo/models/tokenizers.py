"""The tokenizers of a model: one for both sides, or one for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tokenizers:
    """`transformers.PreTrainedTokenizerFast` objects of source and target: the same one where the sides share it."""

    source: Any
    target: Any

    @property
    def shared(self) -> bool:
        """Whether both sides have one vocabulary."""
        return self.source is self.target
