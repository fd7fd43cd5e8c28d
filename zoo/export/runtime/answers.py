"""What exports give of sources, whatever kind of model they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from zoo.export.folder import Export
from zoo.tasks.images import Source


@dataclass(frozen=True)
class Answers:
    """Outputs in the order of their sources, and what decoding did."""

    outputs: tuple[Any, ...]
    """Texts, or what was found in each image (`zoo.tasks.Detection`)."""
    tokens: int | None = None
    """Tokens of all outputs: the end token counts, start token and padding do not. None where none are written."""
    unfinished: int = 0
    """Outputs that met the length limit before an end token."""


class Answering(Protocol):
    """An opened export."""

    export: Export

    def answer(self, sources: Sequence[Source], *, batch_size: int | None = None) -> Answers:
        """An output for each source, decoded as the model's spec decodes, in batches of like size.

        Raises InputError for sources that the model does not read.
        """
