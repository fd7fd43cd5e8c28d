"""An export as something that finds boxes in images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError

from zoo.errors import InputError
from zoo.export.folder import BOXES, EXPORT_FILE, REAL, SCORES, WHOLE, BoxPart, Export, read_export
from zoo.export.runtime.answers import Answers
from zoo.export.runtime.choosing import found, in_pixels
from zoo.export.runtime.devices import AUTO, device_for, missing_from_onnxruntime
from zoo.export.runtime.pictures import in_memory, pixels_of, size_of
from zoo.export.runtime.sessions import open_graph, run
from zoo.images.framing import FRAMES, FrameMaker
from zoo.spec.pixel_section import PixelSection
from zoo.tasks.detection import Detection

ARCHITECTURE = "detector"
"""What this runtime runs."""


def load_detector(folder: Path | str, *, threads: int | None = None, device: str = AUTO) -> Detector:
    """The export in `folder`, each call of which computes on `threads` threads (None: as many as the export
    asks for, or one a core of the process), or on a `device` as `zoo.export.runtime.load` has it.

    Raises InputError where there is none, it is damaged, its model finds no boxes, or the GPU that was asked for by
    name cannot be had.
    """
    folder = Path(folder)
    export = read_export(folder)
    where = str(folder / EXPORT_FILE)
    if export.architecture != ARCHITECTURE:
        raise InputError(
            f"an export of the architecture '{export.architecture}': expected '{ARCHITECTURE}'", where=where
        )
    if export.boxes is None or export.image is None:
        raise InputError("does not say how boxes are found: not of 'zoo export'", where=where)
    try:
        section = PixelSection.model_validate(export.image.section)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(("image", "section", *map(str, first["loc"])))
        raise InputError(f"{place}: {first['msg']}", where=where) from None
    chosen = device_for(device, export.device, missing_from_onnxruntime)
    session = open_graph(folder / WHOLE, threads or export.threads, FRAMES, (SCORES, BOXES, REAL), device=chosen)
    return Detector(export, export.boxes, FrameMaker(section, export.boxes.multiple), session)


class Detector:
    """Finds boxes as the exported model does in torch. Thread-safe: a call shares nothing with another but what never
    changes."""

    def __init__(self, export: Export, boxes: BoxPart, maker: FrameMaker, session: Any) -> None:
        self.export = export
        self.boxes = boxes
        self._maker = maker
        self._session = session

    @property
    def names(self) -> dict[int, str]:
        """The name of each category."""
        return {item.number: item.name for item in self.boxes.categories}

    def detect(
        self,
        images: Sequence[Any],
        *,
        threshold: float | None = None,
        max_detections: int | None = None,
        batch_size: int | None = None,
    ) -> list[tuple[Detection, ...]]:
        """What is found in each image, surest first, in its own pixels. Images are paths of files, uint8 pixels
        ``[H, W, 3]`` or ``[H, W]``, of Pillow, or what examples of a task hold (`zoo.tasks.ImageSource`).

        `threshold` is the least confidence. What is not given is as the model's spec has it. Batches hold images of
        like size, largest first. Raises InputError for numbers that cannot be, and for what is no image or is damaged.
        """
        least = self.boxes.min_score if threshold is None else threshold
        if not 0 <= least <= 1:
            raise InputError(f"threshold: expected a number from 0 to 1, found {least}")
        for name, number in (("max_detections", max_detections), ("batch_size", batch_size)):
            if number is not None and number < 1:
                raise InputError(f"{name}: expected at least 1, found {number}")
        taken = [in_memory(image) for image in images]
        order = self._maker.order([size_of(image) for image in taken])
        size = batch_size or self.boxes.batch_size
        most = max_detections or self.boxes.max_detections
        answers: list[tuple[Detection, ...]] = [()] * len(taken)
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            given = run(self._session, self._maker.batch([pixels_of(taken[place]) for place in chosen]))
            for row, place in enumerate(chosen):
                one = {name: array[row] for name, array in given.items()}
                answers[place] = self._found(one, *size_of(taken[place]), least)[:most]
        return answers

    def answer(self, sources: Sequence[Any], *, width: int | None = None, batch_size: int | None = None) -> Answers:
        """As `zoo.export.runtime.answers.Answering` has it: boxes are not searched for, whatever the `width`."""
        return Answers(tuple(self.detect(sources, batch_size=batch_size)))

    def stream(self, images: Iterable[Any], **options: Any) -> Iterator[tuple[Detection, ...]]:
        """What is found in each image, in their order, each looked at alone and as soon as it is asked for; options as
        those of `detect`."""
        return (answer for image in images for answer in self.detect([image], **options))

    def _found(self, given: Mapping[str, NDArray[Any]], height: int, width: int, least: float) -> tuple[Detection, ...]:
        """What is found in one image of this size, of which the graph gave `given`."""
        chosen = found(given[SCORES], given[BOXES], given[REAL], self.boxes, least)
        numbers = [item.number for item in self.boxes.categories]
        rows = zip(
            in_pixels(chosen.boxes, height, width).tolist(), chosen.scores.tolist(), chosen.labels.tolist(), strict=True
        )
        return tuple(Detection((x1, y1, x2, y2), score, numbers[label]) for (x1, y1, x2, y2), score, label in rows)
