"""What an exported detector finds, beside its model in torch, and `zoo detect` with both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.export.exporting import Batches, export_model
from zoo.export.folder import EXPORT_FILE, Export, read_export, write_export
from zoo.export.runtime import load_detector
from zoo.images.files import load_image
from zoo.measure.detecting import detect_all
from zoo.registry import current_registry, use_registry
from zoo.spec import resolve
from zoo.spec.options import Chosen
from zoo.tasks import DataHome, Detection, PixelImage
from zoo.testing.shapes import with_shapes
from zoo.testing.surroundings import one_thread
from zoo.training import build, load_run

pytestmark = pytest.mark.slow  # as an export is made

SPEC: dict[str, Any] = {
    "name": "finder",
    "task": {"use": "shapes", "dev": 12},
    "model": {
        "architecture": "detector",
        "pixels": {"max_height": 40, "max_width": 64, "multiple": 8},
        "detector": {
            "use": "anchor-free",
            "matcher": "task-aligned",
            "box_loss": "ciou",
            "width": 4,
            "depth": 0,
            "neck": 8,
            "head_blocks": 0,
            "levels": [8, 16],
            "reg_max": 4,
            "nms_iou": 0.4,
        },
    },
    "training": {
        "steps": 0,
        "batch_tokens": 60,
        "optimizer": {"use": "adamw", "lr": 1e-3},
        "schedule": "constant",
        "clipping": "none",
    },
    "detection": {"min_score": 0.3, "max_detections": 6, "batch_size": 5},
    "evaluation": {"metrics": [{"use": "map", "iou_thresholds": [0.5]}]},
}


@dataclass(frozen=True)
class Finders:
    """A detector's folder and its export, what was said when that was made, and images on disk."""

    torch: Path
    export: Path
    said: Export
    images: Path


@pytest.fixture(scope="module")
def finders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finders]:
    """Untrained, but sure of some boxes and unsure of others."""
    root = tmp_path_factory.mktemp("finders")
    home = DataHome(root / "home")
    with use_registry(with_shapes()), one_thread():
        build(resolve(SPEC), root / "finder", home)
        model = load_run(root / "finder").model
        with torch.no_grad():
            for head, size in ((model.detector.classifier, 40.0), (model.detector.regressor, 40.0)):
                head.output.weight.mul_(size)
                head.output.bias.zero_()
        model.save_pretrained(root / "finder")
        exporter = current_registry().get("exporter", "onnx")
        chosen = Chosen(exporter, exporter.load_options()())
        said = export_model(root / "finder", root / "export", chosen, examples=9, home=home)
        draw = np.random.default_rng(3)
        (root / "images").mkdir()
        for place, size in enumerate([(40, 64), (7, 5), (90, 30), (33, 47), (64, 200), (40, 64)]):
            pixels = draw.integers(0, 256, (*size, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / "images" / f"{place}.png")
        yield Finders(root / "finder", root / "export", said, root / "images")


def of_torch(folder: Path, images: list[Path], **changes: Any) -> list[tuple[Detection, ...]]:
    with use_registry(with_shapes()), one_thread():
        run = load_run(folder)
        section = run.spec.detection.model_copy(update=changes)
        return detect_all(run.model.eval(), [PixelImage(load_image(image)) for image in images], section)


def assert_same(mine: list[tuple[Detection, ...]], expected: list[tuple[Detection, ...]]) -> None:
    assert [len(one) for one in mine] == [len(one) for one in expected]
    for one, other in zip(mine, expected, strict=True):
        assert [box.category for box in one] == [box.category for box in other]
        assert [box.score for box in one] == pytest.approx([box.score for box in other], abs=1e-5)
        for box, like in zip(one, other, strict=True):
            assert box.box == pytest.approx(like.box, abs=200 * 1e-4)


def test_boxes_are_torchs_whatever_images_are_given_as(finders: Finders) -> None:
    paths = sorted(finders.images.iterdir())
    expected = of_torch(finders.torch, paths)
    counts = [len(one) for one in expected]
    assert max(counts) == 6, "some are left out"
    assert len({box.category for one in expected for box in one}) == 2
    detector = load_detector(finders.export, threads=1)
    assert detector.names == {2: "dark", 7: "light"}
    assert_same(detector.detect(paths), expected)
    pixels = [load_image(path) for path in paths]
    assert_same(detector.detect([PixelImage(item) for item in pixels], batch_size=6), expected)
    assert_same(list(detector.stream(iter([str(path) for path in paths]))), expected)
    sure = {"min_score": 0.6, "max_detections": 100, "batch_size": 2}
    few = detector.detect([Image.fromarray(item) for item in pixels], threshold=0.6, max_detections=100, batch_size=2)
    assert_same(few, of_torch(finders.torch, paths, **sure))
    assert detector.detect([]) == []


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_in_fewer_bits_it_finds_nearly_the_same_boxes(finders: Finders, tmp_path: Path, weights: str) -> None:
    """Of the boxes of another image as good as none is like it."""
    record = current_registry().get("exporter", "onnx")
    exporter = Chosen(record, record.load_options()(weights=weights)).create()
    paths = sorted(finders.images.iterdir())
    with use_registry(with_shapes()), one_thread():
        run = load_run(finders.torch)
        shown = Batches(run, [PixelImage(load_image(image)) for image in paths])
        written = exporter.write_reduced(run.model.eval(), finders.export, tmp_path, calibration=shown)
    (file,) = (name for name in written.sizes if name.endswith("_data"))  # the graph is larger than these weights
    assert written.sizes[file] < {"float16": 0.6, "int8": 0.5}[weights] * finders.said.sizes[file]
    write_export(finders.said.model_copy(update={"weights": weights, "sizes": written.sizes}), tmp_path)
    found = load_detector(tmp_path, threads=1).detect(paths)
    expected = load_detector(finders.export, threads=1).detect(paths)
    near = {"float16": (2.0, 0.02), "int8": (10.0, 0.2)}[weights]
    assert share_found(expected, found, *near) > 0.75
    assert share_found(expected, [*found[1:], found[0]], *near) < 0.3


def share_found(
    expected: list[tuple[Detection, ...]], found: list[tuple[Detection, ...]], pixels: float, score: float
) -> float:
    """The share of boxes that have their like in what was found in the same image."""
    alike = [
        any(
            box.category == other.category
            and abs(box.score - other.score) <= score
            and max(abs(a - b) for a, b in zip(box.box, other.box, strict=True)) <= pixels
            for other in others
        )
        for boxes, others in zip(expected, found, strict=True)
        for box in boxes
    ]
    return sum(alike) / len(alike)


def test_an_export_says_how_boxes_are_found_and_how_near_they_are_to_torchs(finders: Finders) -> None:
    assert read_export(finders.export) == finders.said
    assert (finders.said.reads, finders.said.sequence, finders.said.weights) == ("image", None, "float32")
    part = finders.said.boxes
    assert part is not None
    assert (part.several, part.candidates, part.nms_iou, part.multiple) == (True, 1000, 0.4, 16)
    assert (part.min_score, part.max_detections, part.batch_size) == (0.3, 6, 5)
    report = finders.said.parity
    assert report is not None
    assert report.examples == 9
    assert report.largest_difference is not None
    assert report.largest_difference < 1e-4
    assert [row.same for row in report.outputs] == [9, 9]
    (drop,) = report.metrics
    assert drop.drop == pytest.approx(0, abs=1e-6)


def test_threads_share_a_detector(finders: Finders) -> None:
    detector = load_detector(finders.export, threads=1)
    paths = sorted(finders.images.iterdir())
    expected = detector.detect(paths)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: detector.detect(paths), range(8))) == [expected] * 8


@pytest.mark.soak
def test_eight_threads_for_a_minute_find_the_same_and_leave_no_memory_behind(
    finders: Finders, served_for_a_minute: Any
) -> None:
    detector = load_detector(finders.export, threads=1)
    images = [PixelImage(load_image(path)) for path in sorted(finders.images.iterdir())]
    served_for_a_minute(
        [
            partial(detector.detect, images[first:], batch_size=size, threshold=threshold)
            for first in (0, 2)
            for size in range(1, 5)
            for threshold in (0.3, 0.6)
        ]
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"threshold": 1.5}, "threshold: expected a number from 0 to 1, found 1.5"),
        ({"max_detections": 0}, "max_detections: expected at least 1, found 0"),
        ({"batch_size": 0}, "batch_size: expected at least 1, found 0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(finders: Finders, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        load_detector(finders.export, threads=1).detect([], **options)


def test_a_damaged_section_is_told_by_its_place(finders: Finders, tmp_path: Path) -> None:
    told = json.loads((finders.export / EXPORT_FILE).read_text())
    told["image"]["section"]["max_height"] = 0
    for name in finders.said.sizes:
        (tmp_path / name).symlink_to(finders.export / name)
    (tmp_path / EXPORT_FILE).write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"image\.section\.max_height: .*expected a number at least 1, found 0"):
        load_detector(tmp_path)


def told(capfdbinary: pytest.CaptureFixture[bytes], *arguments: Any) -> tuple[int, list[str], list[str]]:
    with use_registry(with_shapes()):
        status = main(["detect", *map(str, arguments), "--threads", "1"])
    found = capfdbinary.readouterr()
    return status, found.out.decode().splitlines(), found.err.decode().splitlines()


@pytest.mark.parametrize("options", [[], ["--threshold", "0.6", "--max-detections", "2", "--batch-size", "3"]], ids=str)
def test_the_same_command_finds_the_same_boxes(
    finders: Finders, capfdbinary: pytest.CaptureFixture[bytes], options: list[str]
) -> None:
    found = {}
    for model in (finders.torch, finders.export):
        status, lines, errors = told(capfdbinary, model, finders.images, finders.images / "3.png", *options)
        assert (status, errors) == (0, [])
        found[model] = [line.split("\t") for line in lines]
    mine, expected = found[finders.export], found[finders.torch]
    assert [row[:2] for row in mine] == [row[:2] for row in expected]
    assert {row[1] for row in mine} == {"dark", "light"}
    assert [row[0] for row in mine][-1] == str(finders.images / "3.png")
    numbers = [[float(value) for value in row[2:]] for row in mine]
    for one, row in zip(numbers, expected, strict=True):
        assert one == pytest.approx([float(value) for value in row[2:]], abs=0.11)  # a digit of rounding
    if options:
        assert min(row[0] for row in numbers) >= 0.6
        assert max([row[0] for row in mine].count(str(path)) for path in finders.images.iterdir()) <= 2 * 2


@pytest.mark.parametrize("form", ["torch", "export"])
def test_an_image_that_cannot_be_read_is_told_and_the_others_go_on(
    finders: Finders, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], form: str
) -> None:
    good = (finders.images / "0.png").read_bytes()
    (tmp_path / "a.png").write_bytes(good)
    (tmp_path / "b.png").write_bytes(good[: len(good) // 2])
    (tmp_path / "c.png").write_bytes(good)
    status, lines, errors = told(capfdbinary, getattr(finders, form), tmp_path, tmp_path / "gone.png", "--json")
    assert status == 2
    rows = [json.loads(line) for line in lines]
    assert [Path(row["image"]).name for row in rows] == ["a.png", "b.png", "c.png", "gone.png"]
    assert [sorted(row) for row in rows] == [["boxes", "image"], ["error", "image"]] * 2
    assert rows[0]["boxes"] == rows[2]["boxes"]
    assert {tuple(sorted(box)) for box in rows[0]["boxes"]} == {("box", "category", "name", "score")}
    assert errors[0].startswith(f"zoo: {tmp_path}/b.png: cannot be read: ")
    assert errors[1:] == [f"zoo: {tmp_path}/gone.png: no such file", "zoo: 2 of 4 images cannot be read"]


def test_an_export_finds_boxes_without_torch(finders: Finders) -> None:
    program = (
        "import sys; from zoo.cli.main import main; status = main(sys.argv[1:]); "
        "bad = {'torch', 'transformers', 'onnx'} & set(sys.modules); assert not bad, bad; sys.exit(status)"
    )
    arguments = ["detect", str(finders.export), str(finders.images / "0.png"), "--threads", "1"]
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"{finders.images / '0.png'}\t")


def test_a_model_that_finds_no_boxes_is_refused(
    finders: Finders, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    other = json.loads((finders.export / EXPORT_FILE).read_text()) | {"architecture": "image-ctc"}
    for name in finders.said.sizes:
        (tmp_path / name).symlink_to(finders.export / name)
    (tmp_path / EXPORT_FILE).write_text(json.dumps(other))
    status, lines, errors = told(capfdbinary, tmp_path, finders.images)
    assert (status, lines) == (2, [])
    assert "an export of the architecture 'image-ctc': expected 'detector'" in errors[0]
