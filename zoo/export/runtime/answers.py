"""What exports give of sources, whatever kind of model they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from zoo.export.folder import read_export
from zoo.export.runtime.devices import PROCESSOR
from zoo.export.runtime.settings import Search
from zoo.export.runtime.texts import Texts


@dataclass(frozen=True)
class Answers:
    """Outputs in the order of their sources, and what decoding did."""

    outputs: tuple[Any, ...]
    """Texts, or what was found in each image (`zoo.tasks.Detection`)."""
    tokens: int | None = None
    """Tokens of all outputs: the end token counts, start token and padding do not. None where none are written."""
    unfinished: int = 0
    """Outputs that met the length limit before an end token."""

    @classmethod
    def of(cls, written: Sequence[Sequence[int]], search: Search, texts: Texts) -> Answers:
        """The answers of the ids that `search` has written."""
        unfinished = sum(not row or row[-1] != search.end for row in written)
        outputs = tuple(texts.decoded([[search.start, *row] for row in written]))
        return cls(outputs, tokens=sum(map(len, written)), unfinished=unfinished)


class Answering(Protocol):
    """An opened export."""

    def answer(self, sources: Sequence[Any], *, width: int | None = None, batch_size: int | None = None) -> Answers:
        """An output for each source, decoded as the model's spec decodes, or by a search of another `width` (1 is
        greedy), in batches of like size.

        Raises InputError for sources that the model does not read.
        """


def open_export(folder: Path, *, threads: int | None = None, device: str = PROCESSOR) -> Answering:
    """What answers with the export in `folder`, whatever it reads and gives; errors as those of `load` and its like."""
    from zoo.export.runtime import load, load_detector, load_recognizer

    export = read_export(folder)
    if export.boxes is not None:
        return load_detector(folder, threads=threads, device=device)
    if export.reads == "image":
        return load_recognizer(folder, threads=threads, device=device)
    return load(folder, threads=threads, device=device)
