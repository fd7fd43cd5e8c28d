"""`zoo detect MODEL [IMAGE...]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import startup
from zoo.cli.image_arguments import Reader, answer_images
from zoo.cli.model_folder import DEVICE, kind_of, torch_device
from zoo.errors import InputError, visible

if TYPE_CHECKING:
    from zoo.tasks import Detection

    Detections = Sequence[Detection]


@click.command("detect")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path, allow_dash=True), metavar="[IMAGE]...")
@click.option(
    "--threshold",
    type=click.FloatRange(0.0, 1.0),
    help="Leave out boxes below this confidence. Default: the spec's, which is low: it is what metrics are given.",
)
@click.option(
    "--max-detections",
    type=click.IntRange(min=1),
    help="Boxes of an image at most, surest first. Default: the spec's.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images looked at together. Default: the spec's; 1 of standard input.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads to compute on. Default: one a core.")
@DEVICE
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="A line of JSON for each image: 'image', and 'boxes' (of each 'category', 'name', 'score', 'box') or 'error'.",
)
def command(
    model: Path,
    images: tuple[Path, ...],
    threshold: float | None,
    max_detections: int | None,
    batch_size: int | None,
    threads: int | None,
    device: str,
    as_json: bool,
) -> None:
    """Find boxes in images with MODEL: a folder of 'zoo export' or of 'zoo train'.

    An IMAGE is a file, or a folder whose images are meant; without any, their paths are read from standard input, one a
    line, and each is answered before the next is read, unless there is a --batch-size. Each box gives one line, the
    surest of an image first, with tabs between the image's path, the category's name, the confidence, and x and y of
    the upper left corner and of the lower right one, in pixels. An image that cannot be read is told on standard error,
    and the others go on: the exit status is 2 then. An export is run without torch.
    """
    load = _exported if kind_of(model) == "export" else _trained
    reader, names = load(model, threshold, max_detections, batch_size, threads, device)
    answer_images(
        images,
        reader,
        batch_size,
        lines=lambda image, boxes: [_line(image, box, names) for box in boxes],
        fields=(lambda boxes: {"boxes": [_fields(box, names) for box in boxes]}) if as_json else None,
    )


def _exported(
    folder: Path,
    threshold: float | None,
    max_detections: int | None,
    batch_size: int | None,
    threads: int | None,
    device: str,
) -> tuple[Reader[Detections], Mapping[int, str]]:
    """What finds boxes with an export, and the names of categories. Without torch."""
    from zoo.export.runtime import load_detector

    startup.imported()

    detector = load_detector(folder, threads=threads, device=device)

    def detect(images: list[Any]) -> Sequence[Detections]:
        return detector.detect(images, threshold=threshold, max_detections=max_detections, batch_size=batch_size)

    return Reader(detect, batch_size or detector.boxes.batch_size), detector.names


def _trained(
    folder: Path,
    threshold: float | None,
    max_detections: int | None,
    batch_size: int | None,
    threads: int | None,
    device: str,
) -> tuple[Reader[Detections], Mapping[int, str]]:
    """What finds boxes with a model in torch, and the names of categories."""
    import torch

    from zoo.measure.detecting import detect_all
    from zoo.spec.detection_spec import DetectionSpec
    from zoo.tasks import PixelImage
    from zoo.training import load_run

    startup.imported()

    if threads is not None:
        torch.set_num_threads(threads)
    run = load_run(folder)
    if not isinstance(run.spec, DetectionSpec):
        raise InputError(
            f"its model is of the architecture '{run.model.section.architecture}': this command finds boxes in images",
            where=str(folder),
        )
    changes = {"min_score": threshold, "max_detections": max_detections, "batch_size": batch_size}
    section = run.spec.detection.model_copy(
        update={name: value for name, value in changes.items() if value is not None}
    )
    model = run.model.to(torch_device(device)).eval()
    names = {number: str(model.config.id2label[label]) for label, number in enumerate(model.categories)}

    def detect(images: list[Any]) -> Sequence[Detections]:
        return detect_all(model, [PixelImage(image) for image in images], section)

    return Reader(detect, section.batch_size), names


def _line(image: str, found: Detection, names: Mapping[int, str]) -> str:
    corners = "\t".join(f"{value:.1f}" for value in found.box)
    return f"{image}\t{visible(names[found.category])}\t{found.score:.4f}\t{corners}"


def _fields(found: Detection, names: Mapping[int, str]) -> dict[str, Any]:
    return {
        "category": found.category,
        "name": names[found.category],
        "score": round(found.score, 6),
        "box": [round(value, 2) for value in found.box],
    }
