"""Image files as a user has them. How each kind of file is read is tried by the tasks of own files, too."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.errors import InputError
from zoo.images.files import images_in, load_image


def test_pixels_are_three_channels_as_they_are_seen(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(load_image(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, axis=2))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(grey).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(load_image(tmp_path / "turned.png")[..., 0], np.rot90(grey, 2))


def test_images_of_a_folder_come_by_name(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.txt", ".d.png"):
        (tmp_path / name).touch()
    (tmp_path / "e.png").mkdir()
    assert [path.name for path in images_in(tmp_path)] == ["a.png", "b.JPG"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none.png", "none.png: no such file"),
        ("folder.png", "folder.png: is no file"),
        ("text.png", "text.png: is no image of a known format"),
        ("cut.png", "cut.png: cannot be read: "),
    ],
)
def test_what_is_no_image_is_told_in_one_line_that_names_it(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "text.png").write_text("no image")
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:500])
    with pytest.raises(InputError) as caught:
        load_image(tmp_path / name)
    assert f"{tmp_path}{os.sep}{expected}" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
