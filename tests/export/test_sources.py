"""What exports are compared on where the spec's data is not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.errors import InputError
from zoo.export.sources import read_references, read_sources
from zoo.tasks import PixelImage


def drawn(path: Path, shade: int) -> None:
    Image.fromarray(np.full((6, 9, 3), shade, np.uint8)).save(path)


def shades(path: Path) -> list[int]:
    return [int(image.pixels[0, 0, 0]) for image in read_sources(path, "image") if isinstance(image, PixelImage)]


def test_images_are_those_of_a_folder_or_of_a_list_from_its_own_folder(tmp_path: Path) -> None:
    for name, shade in (("b.png", 2), ("a.PNG", 1), (".hidden.png", 9)):
        drawn(tmp_path / name, shade)
    (tmp_path / "notes.txt").write_text("no image")
    assert shades(tmp_path) == [1, 2]
    (tmp_path / "list").write_text("b.png\n\nb.png\na.PNG\n")
    assert shades(tmp_path / "list") == [2, 2, 1]


def test_texts_are_the_lines_that_hold_any(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("one\n \ntwo\n")
    assert read_sources(tmp_path / "lines.txt", "text") == ["one", "two"]


def test_references_are_read_line_by_line_beside_their_sources(tmp_path: Path) -> None:
    sources, references = tmp_path / "lines.txt", tmp_path / "right.txt"
    sources.write_text("one\u2028still one\n \ntwo\nthree\n")
    references.write_text("eins\nof nothing\n\ndrei")
    assert read_sources(sources, "text") == ["one\u2028still one", "two", "three"]
    assert read_references(references, sources) == ["eins", "", "drei"]
    assert read_references(references, tmp_path) == ["eins", "of nothing", "", "drei"]  # of a folder's images
    references.write_text("eins\n")
    with pytest.raises(InputError, match=r"right\.txt: 1 lines, but 4 in .*lines\.txt: expected one each"):
        read_references(references, sources)
    with pytest.raises(InputError, match="gone: no such file"):
        read_references(tmp_path / "gone", sources)


@pytest.mark.parametrize(
    ("name", "reads", "expected"),
    [
        ("none", "image", "none: no such file"),
        ("empty", "image", "empty: no images here"),
        ("list", "image", r"gone\.png: no such file"),
        ("one.png", "image", "is not UTF-8: expected a folder of images, or a list of them"),
        ("blank.txt", "image", r"blank\.txt: no paths: expected a folder of images"),
        ("blank.txt", "text", r"blank\.txt: no lines of text"),
        ("empty", "text", "empty: is a folder: its model reads texts"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path, name: str, reads: str, expected: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list").write_text("gone.png\n")
    (tmp_path / "blank.txt").write_text(" \n\n")
    drawn(tmp_path / "one.png", 1)
    with pytest.raises(InputError, match=expected):
        read_sources(tmp_path / name, "image" if reads == "image" else "text")
