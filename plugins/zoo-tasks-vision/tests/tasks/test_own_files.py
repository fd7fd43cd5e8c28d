"""Tasks over a user's own images."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from zoo_tasks_vision.tasks.coco_files import CocoFiles
from zoo_tasks_vision.tasks.file_options import CocoFilesOptions, ImageTextFilesOptions
from zoo_tasks_vision.tasks.image_text_files import ImageTextFiles

from zoo.errors import InputError
from zoo.tasks import DataHome, GroundTruth
from zoo.tasks.contracts import SPLITS
from zoo.testing import TaskSuite

ENDINGS = ("png", "jpg", "tif", "bmp")
CORNERS = ", expected [x, y, width, height] in pixels"
SIZE = ", which is 60 wide and 40 high"


def pixels(number, height=16, width=80):
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def write_lines(folder, count=12):
    """Images and a TSV of them: four documents of three lines each."""
    rows = []
    for number in range(count):
        name = f"line{number}.{ENDINGS[number % len(ENDINGS)]}"
        Image.fromarray(pixels(number)).save(folder / name)
        rows.append(f"{name}\ttext {number}\tbook {number // 3}")
    (folder / "lines.tsv").write_text("\n".join(rows) + "\n")
    return folder / "lines.tsv"


def write_coco(folder, **changes):
    for number in range(6):
        Image.fromarray(pixels(number, 40, 60)).save(folder / f"page{number}.png")
    content = {
        "images": [
            {"id": 10 + n, "file_name": f"page{n}.png", "width": 60, "height": 40, "document": f"book {n // 2}"}
            for n in range(6)
        ],
        "categories": [{"id": 3, "name": "line"}, {"id": 1, "name": "figure"}],
        "annotations": [
            {"id": 1, "image_id": 10, "category_id": 3, "bbox": [5, 5, 20, 10], "iscrowd": 0},
            {"id": 2, "image_id": 10, "category_id": 1, "bbox": [-4, 30.5, 100, 20], "iscrowd": 1},
            {"id": 3, "image_id": 11, "category_id": 1, "bbox": [5, 5, 0, 10]},
        ],
    }
    content.update(changes)
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder / "boxes.json"


def text_task(path, **changes):
    return ImageTextFiles(ImageTextFilesOptions.model_validate({"name": "mine", "train": str(path), **changes}))


def box_task(path, **changes):
    return CocoFiles(CocoFilesOptions.model_validate({"name": "mine", "train": str(path), **changes}))


class TestConformance(TaskSuite):
    component = "zoo-tasks-vision/image-text-files"
    options = ({},)  # they name a file that is made for the test: `given` has them

    def pytest_generate_tests(self, metafunc):
        """One case."""

    @pytest.fixture
    def given(self, tmp_path):
        return {"name": "mine", "train": str(write_lines(tmp_path))}

    @pytest.fixture
    def first_chosen(self, given):
        return self._choose(given)


def test_images_and_texts_are_those_of_the_files_and_documents_stay_together(tmp_path):
    prepared = text_task(write_lines(tmp_path)).prepare(DataHome(tmp_path / "home"))
    sides = {}
    for split in SPLITS:
        for example in prepared.examples(split):
            number = int(example.target.removeprefix("text "))
            assert example.document == f"book {number // 3}"
            assert sides.setdefault(example.document, split) == split
            assert example.strata == {"aspect": "5-15", "height": "16-32", "content": "text"}
            if not example.id.endswith("jpg"):
                assert np.array_equal(example.image.load(), pixels(number))
    assert len(sides) == 4
    assert set(sides.values()) == set(SPLITS)


def test_lists_of_dev_and_test_are_taken_as_they_are(tmp_path):
    path = write_lines(tmp_path)
    lines = path.read_text().splitlines()
    for name, rows in (("train", lines[:6]), ("dev", lines[6:9]), ("test", lines[9:])):
        (tmp_path / f"{name}.tsv").write_text("\n".join(rows))
    given = {split: str(tmp_path / f"{split}.tsv") for split in ("dev", "test")}
    prepared = text_task(tmp_path / "train.tsv", **given).prepare(DataHome(tmp_path / "home"))
    assert [len(prepared.examples(split)) for split in SPLITS] == [6, 3, 3]
    (tmp_path / "test.tsv").write_text("\n".join([*lines[9:], lines[0]]))
    with pytest.raises(InputError, match="document 'book 0' is in the list of train too") as caught:
        text_task(tmp_path / "train.tsv", **given).prepare(DataHome(tmp_path / "home"))
    assert caught.value.where == f"{tmp_path}/test.tsv:4"


def test_a_changed_image_gives_another_revision_and_an_unchanged_one_the_same(tmp_path):
    path, home = write_lines(tmp_path), DataHome(tmp_path / "home")
    first = text_task(path).prepare(home)
    assert text_task(path).prepare(home).revision == first.revision
    Image.fromarray(pixels(99)).save(tmp_path / "line0.png")
    assert text_task(path).prepare(home).revision != first.revision


def test_turned_transparent_deep_and_palette_images_are_read_as_seen(tmp_path):
    grey = np.linspace(0, 255, 16 * 80).reshape(16, 80).astype(np.uint8)
    turned = Image.fromarray(pixels(1))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    turned.save(tmp_path / "turned.png", exif=exif)
    clear = np.zeros((16, 80, 4), np.uint8)
    clear[:, :40, 3] = 255
    Image.fromarray(clear).save(tmp_path / "clear.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(pixels(2) // 64 * 64).convert("P").save(tmp_path / "palette.gif")
    names = ["turned.png", "clear.png", "deep.png", "grey.png", "palette.gif"]
    (tmp_path / "all.tsv").write_text("".join(f"{name}\tx\n" for name in names))
    prepared = text_task(tmp_path / "all.tsv").prepare(DataHome(tmp_path / "home"))
    found = {example.id: example.image for split in SPLITS for example in prepared.examples(split)}
    assert np.array_equal(found["turned.png"].load(), np.rot90(pixels(1), -1))
    assert found["turned.png"].size == (80, 16)
    expected = np.where(clear[:, :, 3:] == 255, 0, 255)
    assert np.array_equal(found["clear.png"].load(), np.broadcast_to(expected, (16, 80, 3)))
    for name in ("deep.png", "grey.png"):
        assert np.array_equal(found[name].load(), np.repeat(grey[:, :, None], 3, axis=2))
    assert found["grey.png"].channels == 1
    with Image.open(tmp_path / "palette.gif") as image:
        assert np.array_equal(found["palette.gif"].load(), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("line", "place", "message"),
    [
        (b"line0.png", 13, "1 fields, expected 2 or 3 with tabs between: image, text, and document if any"),
        (b"\ttext", 13, "the first field is no file's name"),
        (b"none.png\ttext", 13, "image '{folder}/none.png' cannot be read: No such file or directory"),
        (b"line0.png\t\xff", 13, "byte 11 is not UTF-8: convert the file"),
        (
            b"lines.tsv\ttext",
            13,
            "image '{folder}/lines.tsv' is no image of a known format (PNG, JPEG, ",
        ),
        (b"cut.png\ttext", 13, "image '{folder}/cut.png' cannot be read: "),
        (b"pipe.png\ttext", 13, "image '{folder}/pipe.png' is no file"),
        (b"../line0.png\ttext", 13, "image '../line0.png' lies outside of {folder}: set images to a folder"),
        (b"/etc/passwd\ttext", 13, "image '/etc/passwd' lies outside of {folder}: set images to a folder"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_line(tmp_path, line, place, message):
    path = write_lines(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "line0.png").read_bytes()[:200])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(InputError) as caught:
        text_task(path).prepare(DataHome(tmp_path / "home"))
    assert caught.value.where == f"{path}:{place}"
    assert caught.value.message.startswith(message.replace("{folder}", str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_an_image_in_two_lists_is_refused(tmp_path):
    """Without documents too: what is trained on is no test."""
    path = write_lines(tmp_path)
    names = [line.split("\t")[0] for line in path.read_text().splitlines()]
    for name, rows in (("train", names[:6]), ("dev", names[6:9]), ("test", [*names[9:], f"./{names[0]}"])):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{row}\tx\n" for row in rows))
    given = {split: str(tmp_path / f"{split}.tsv") for split in ("dev", "test")}
    with pytest.raises(InputError, match="image './line0.png' is in the list of train too"):
        text_task(tmp_path / "train.tsv", **given).prepare(DataHome(tmp_path / "home"))


def test_a_list_may_name_images_of_any_folder_that_the_user_names(tmp_path):
    (tmp_path / "lists").mkdir()
    path = write_lines(tmp_path).rename(tmp_path / "lists" / "lines.tsv")
    path.write_text("".join(f"{tmp_path}/{line}\n" for line in path.read_text().splitlines()))
    prepared = text_task(path, images="/").prepare(DataHome(tmp_path / "home"))
    assert sum(len(prepared.examples(split)) for split in SPLITS) == 12


def test_what_a_decoder_raises_is_said_in_one_line(tmp_path, monkeypatch):
    """Pillow's decoders raise what they meet, such as struct.error."""
    path = write_lines(tmp_path)

    def broken(image):
        raise struct.error("unpack requires\na buffer of 4 bytes")

    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", broken)
    with pytest.raises(InputError, match=r"line\d+\.tif' cannot be read: unpack requires$"):
        text_task(path).prepare(DataHome(tmp_path / "home"))


def test_bands_that_do_not_rise_are_refused():
    with pytest.raises(ValidationError, match=r"\[15.0, 2.0\]: expected each once, the smallest first"):
        ImageTextFilesOptions.model_validate({"name": "mine", "train": "x", "aspects": [15.0, 2.0]})


def test_too_few_documents_to_split_are_refused(tmp_path):
    with pytest.raises(InputError, match="2 documents are too few to split dev and test off"):
        text_task(write_lines(tmp_path, 6)).prepare(DataHome(tmp_path / "home"))


def test_coco_boxes_are_corners_clipped_to_the_image(tmp_path):
    prepared = box_task(write_coco(tmp_path)).prepare(DataHome(tmp_path / "home"))
    assert prepared.outputs == "detections"
    assert prepared.facts["categories"] == [{"id": 1, "name": "figure"}, {"id": 3, "name": "line"}]
    found = {example.id: example for split in SPLITS for example in prepared.examples(split)}
    assert found["page0.png"].boxes == (
        GroundTruth((5.0, 5.0, 25.0, 15.0), 3),
        GroundTruth((0.0, 30.5, 60.0, 40.0), 1, crowd=True),
    )
    assert found["page1.png"].boxes == ()
    assert np.array_equal(found["page3.png"].image.load(), pixels(3, 40, 60))
    sides = {}
    for split in SPLITS:
        for example in prepared.examples(split):
            assert sides.setdefault(example.document, split) == split


def two_lists(folder, *categories):
    """Lists of train and of test, each with images, boxes and categories of its own."""
    paths = {}
    for split, named in zip(("train", "test"), categories, strict=True):
        (folder / split).mkdir()
        content = json.loads(write_coco(folder / split).read_text())
        for image in content["images"]:
            image["document"] = f"{split} {image['document']}"
        kept = [box for box in content["annotations"] if any(box["category_id"] == item["id"] for item in named)]
        content |= {"categories": named, "annotations": kept}
        paths[split] = folder / split / "boxes.json"
        paths[split].write_text(json.dumps(content))
    return paths


def test_categories_are_those_of_all_lists(tmp_path):
    """A list of test without figures does not take the figures from training."""
    line, figure = {"id": 3, "name": "line"}, {"id": 1, "name": "figure"}
    paths = two_lists(tmp_path, [line, figure], [line])
    prepared = box_task(paths["train"], test=str(paths["test"])).prepare(DataHome(tmp_path / "home"))
    assert prepared.facts["categories"] == [figure, line]


def test_lists_that_give_a_category_two_names_are_refused(tmp_path):
    paths = two_lists(tmp_path, [{"id": 3, "name": "line"}], [{"id": 3, "name": "figure"}])
    with pytest.raises(InputError) as caught:
        box_task(paths["train"], test=str(paths["test"])).prepare(DataHome(tmp_path / "home"))
    assert caught.value.message == "category 3 is 'figure' here, and 'line' in an earlier list"
    assert caught.value.where == str(paths["test"])


@pytest.mark.parametrize(
    ("table", "change", "place", "message"),
    [
        ("annotations", {"image_id": 9}, "annotations[0]", "image_id 9 is no image's id"),
        ("annotations", {"category_id": 2}, "annotations[0]", "category_id 2 is no category's id (there are 1, 3)"),
        (
            "annotations",
            {"bbox": [1, 2, 3]},
            "annotations[0]",
            "bbox is [1, 2, 3], expected [x, y, width, height] in pixels",
        ),
        (
            "annotations",
            {"bbox": [1, 2, -3, 4]},
            "annotations[0]",
            "bbox is [1, 2, -3, 4], expected [x, y, width, height] in pixels",
        ),
        (
            "annotations",
            {"bbox": [70, 5, 8, 8]},
            "annotations[0]",
            "bbox [70.0, 5.0, 8.0, 8.0] lies outside its image, which is 60 wide and 40 high",
        ),
        ("annotations", {"bbox": [1, 2, 10**400, 4]}, "annotations[0]", f"bbox is [1, 2, 1{'0' * 72}{CORNERS}"),
        ("annotations", {"bbox": [1, 2, float("nan"), 4]}, "annotations[0]", f"bbox is [1, 2, NaN, 4]{CORNERS}"),
        ("images", {"file_name": "a\0b"}, "images[0]", "'a\\x00b' is no file's name"),
        ("images", {"file_name": "\ud800"}, "images[0]", 'file_name is "\\ud800", which has half of a character'),
        ("images", {"document": "\udc00"}, "images[0]", 'document is "\\udc00", which has half of a character'),
        ("images", {"file_name": "../page0.png"}, "images[0]", None),
        ("images", {"id": 11}, "images[1]", "id 11 is that of an earlier image"),
        ("images", {"id": "ten"}, "images[0]", 'id is "ten", expected a whole number'),
        ("images", {"width": 61}, "images[0]", "width is 61, but 'page0.png' is 60 wide and 40 high"),
        ("categories", {"name": None}, "categories[0]", "name is null, expected a text"),
    ],
)
def test_what_is_wrong_with_coco_is_said_with_its_place(tmp_path, table, change, place, message):
    path = write_coco(tmp_path)
    content = json.loads(path.read_text())
    content[table][0].update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        box_task(path).prepare(DataHome(tmp_path / "home"))
    outside = f"image '../page0.png' lies outside of {tmp_path}: set images to a folder that has all"
    assert (caught.value.where, caught.value.message) == (f"{path}: {place}", message or outside)


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("[1]", "", "expected an object with images, annotations, categories, found a list"),
        ('{"images": [],\n "annotations" []}', ":2:16", "is no JSON: Expecting ':' delimiter"),
        ('{"images": []}', "", "no 'annotations' among images"),
        pytest.param("1" * 5000, "", "is no JSON: Exceeds the limit", id="a number of 5000 digits"),
        ('{"images": [1], "annotations": [], "categories": []}', "", "'images' is no list of objects"),
        ('{"images": [], "annotations": [], "categories": []}', "", "'images' is empty"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', ": images[0]", "no 'file_name' among id"),
    ],
)
def test_what_is_no_coco_file_is_refused(tmp_path, content, place, message):
    path = tmp_path / "boxes.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        box_task(path).prepare(DataHome(tmp_path / "home"))
    assert caught.value.where == f"{path}{place}"
    assert caught.value.message.startswith(message)
