"""An export as something that reads images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from zoo.errors import InputError
from zoo.export.folder import EXPORT_FILE, FRAMES, WHOLE, Export, SequencePart, read_export
from zoo.export.runtime.answers import Answers
from zoo.export.runtime.beam import beam
from zoo.export.runtime.device_steps import source_steps
from zoo.export.runtime.devices import AUTO, device_for, missing_from_onnxruntime
from zoo.export.runtime.greedy import greedy
from zoo.export.runtime.pictures import in_memory, pixels_of, size_of
from zoo.export.runtime.sessions import Graphs, open_graph, open_graphs, run
from zoo.export.runtime.settings import Search, search_of
from zoo.export.runtime.texts import Texts
from zoo.images.frames import best_path
from zoo.images.patches import PATCHES, PatchMaker
from zoo.registry import current_registry
from zoo.registry.needed import refuse_missing_plugins
from zoo.spec.load import resolve_preparation

ARCHITECTURES = ("image-to-text", "image-ctc")
"""What this runtime runs."""


def load_recognizer(folder: Path | str, *, threads: int | None = None, device: str = AUTO) -> Recognizer:
    """The export in `folder`, each call of which computes on `threads` threads (None: as many as the export
    says, else one a core of the process), or on a `device` as `zoo.export.runtime.load` has it.

    Raises InputError where there is none, it is damaged, its model decodes as this runtime cannot, a plugin that
    images are prepared with is not installed, or the GPU that was asked for by name cannot be had.
    """
    folder = Path(folder)
    export = read_export(folder)
    threads = threads or export.threads
    where = str(folder / EXPORT_FILE)
    if export.architecture not in ARCHITECTURES:
        raise InputError(
            f"an export of the architecture '{export.architecture}': expected {' or '.join(ARCHITECTURES)}", where=where
        )
    sequence = export.sequence
    if sequence is None or (sequence.cache is None) != (export.architecture == "image-ctc"):
        raise InputError("does not say how its model writes: not of 'zoo export'", where=where)
    search = search_of(sequence, where)
    maker = patch_maker(export, where)
    place = device_for(device, export.device, missing_from_onnxruntime)
    writer: Writer
    if sequence.cache is None:
        graph = open_graph(folder / WHOLE, threads, PATCHES, ("logits", FRAMES), device=place)
        writer = FrameWriter(graph, sequence)
    else:
        writer = StepWriter(open_graphs(folder, sequence.cache.layers, threads, reads=PATCHES, device=place))
    texts = Texts(folder, longest_source=None)
    return Recognizer(export, maker, writer, texts, search)


def patch_maker(export: Export, where: str) -> PatchMaker:
    """What prepares images for an exported recogniser. Raises InputError where it does not say how, or a plugin that it
    needs is not here."""
    if export.image is None:
        raise InputError("says nothing of how images are prepared: not of 'zoo export'", where=where)
    registry = current_registry()
    refuse_missing_plugins(export.image.plugins, registry, where)
    return PatchMaker(resolve_preparation(export.image.section, registry))


class Writer(Protocol):
    """What makes token ids of a batch of prepared images."""

    def refuse(self, search: Search) -> None:
        """Raise InputError where it cannot search so."""

    def written(self, batch: Mapping[str, NDArray[Any]], search: Search) -> list[list[int]]:
        """The ids of each image, without the start token, the end token included where there is one."""


class StepWriter:
    """Writes token by token, as a decoder does."""

    def __init__(self, graphs: Graphs) -> None:
        self._graphs = graphs

    def refuse(self, search: Search) -> None:
        """Every search."""

    def written(self, batch: Mapping[str, NDArray[Any]], search: Search) -> list[list[int]]:
        """See `Writer`."""
        steps = source_steps(self._graphs, batch, search.start)
        return greedy(steps, search) if search.width == 1 else beam(steps, search)


class FrameWriter:
    """Writes all frames at once, and reads them greedily, as a CTC head is read."""

    def __init__(self, session: Any, sequence: SequencePart) -> None:
        self._session = session
        self._special = sequence.special

    def refuse(self, search: Search) -> None:
        """See `Writer`."""
        if search.width != 1 or search.constrained:
            raise InputError("an image-ctc is decoded greedily: beams and constraints are of models that decode")

    def written(self, batch: Mapping[str, NDArray[Any]], search: Search) -> list[list[int]]:
        """See `Writer`."""
        found = run(self._session, batch)
        best = found["logits"].argmax(axis=-1)  # [B, F]
        special = self._special
        return best_path(best, found[FRAMES], blank=special.padding, end=special.end, longest=search.max_new_tokens)


class Recognizer:
    """Reads images as the exported model does in torch. Thread-safe: a call shares nothing with another but what never
    changes."""

    def __init__(self, export: Export, maker: PatchMaker, writer: Writer, texts: Texts, search: Search) -> None:
        assert export.sequence is not None
        self.export = export
        self.sequence = export.sequence
        self._maker = maker
        self._writer = writer
        self._texts = texts
        self._search = search

    def recognize(
        self,
        images: Sequence[Any],
        *,
        max_new_tokens: int | None = None,
        width: int | None = None,
        length_penalty: float | None = None,
        batch_size: int | None = None,
    ) -> list[str]:
        """One text an image, in their order: paths of files, uint8 pixels ``[H, W, 3]`` or ``[H, W]``, of Pillow,
        or what examples of a task hold (`zoo.tasks.ImageSource`).

        What is not given is as the model's spec has it; a width of 1 is greedy. Batches hold images of like size,
        largest first. Raises InputError for values below 1, for a search that the model has not, and for what is no
        image, is damaged, or larger than the model can place.
        """
        search = self._changed(max_new_tokens=max_new_tokens, width=width, length_penalty=length_penalty)
        written = self._written(images, search, batch_size)
        return self._texts.decoded([[search.start, *row] for row in written])

    def answer(self, sources: Sequence[Any], *, width: int | None = None, batch_size: int | None = None) -> Answers:
        """As `zoo.export.runtime.answers.Answering` has it."""
        search = self._changed(width=width)
        return Answers.of(self._written(sources, search, batch_size), search, self._texts)

    def _changed(self, **changes: Any) -> Search:
        search = self._search.changed(limit=self.sequence.max_target_tokens, **changes)
        self._writer.refuse(search)
        return search

    def _written(self, images: Sequence[Any], search: Search, batch_size: int | None) -> list[list[int]]:
        """The ids written for each image."""
        if batch_size is not None and batch_size < 1:
            raise InputError(f"batch_size: expected at least 1, found {batch_size}")
        given = [in_memory(image) for image in images]
        sizes = [self.patches(*size_of(image)) for image in given]
        order = sorted(range(len(given)), key=lambda place: (-sizes[place], place))
        size = batch_size or self.sequence.decoding.batch_size
        found: list[list[int]] = [[] for _ in given]
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            rows = self._writer.written(self._maker.batch([pixels_of(given[place]) for place in chosen]), search)
            for place, row in zip(chosen, rows, strict=True):
                found[place] = row
        return found

    def patches(self, height: int, width: int) -> int:
        """How many patches an image of this size becomes. Raises InputError where the model has no places for them."""
        assert self.export.image is not None
        return self._maker.count(height, width, self.export.image.grid_limit)

    def stream(self, images: Iterable[Any], **options: Any) -> Iterator[str]:
        """One text an image, in their order, each read alone and as soon as it is asked for; options as those of
        `recognize`."""
        return (text for image in images for text in self.recognize([image], **options))
