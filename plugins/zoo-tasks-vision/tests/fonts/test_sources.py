"""Where fonts come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from zoo_tasks_vision.fonts.options import FontOptions
from zoo_tasks_vision.fonts.sources import found_faces

from zoo.errors import InputError, ZooError
from zoo.tasks import DataHome
from zoo.tasks.contracts import silent
from zoo.testing.archive import Archive


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    return Archive.at(tmp_path, monkeypatch)


def found(home, **options):
    return found_faces(FontOptions.model_validate(options), DataHome(home), silent)


def test_fonts_of_a_package_are_unpacked_with_their_licence_and_fetched_once(archive, make_font, tmp_path):
    font = make_font(tmp_path / "bars.ttf", "Bars").read_bytes()
    files = {"usr/share/fonts/truetype/bars/bars.ttf": font, "usr/share/doc/fonts-bars/copyright": "Free as bars"}
    archive.put("fonts-bars", "1:2.0-1", files)
    archive.mark("lists")
    first = found(tmp_path / "home", packages=["fonts-bars"])
    assert [face.name for face in first.faces] == ["Bars Regular"]
    assert first.packages == {"fonts-bars": "1:2.0-1"}
    assert (first.faces[0].path.parent / "copyright").read_text() == "Free as bars"
    archive.mark("offline")
    (tmp_path / "home" / "downloads" / "debian").rename(tmp_path / "gone")
    assert found(tmp_path / "home", packages=["fonts-bars"]) == first


def test_a_package_without_fonts_is_named(archive, tmp_path):
    archive.put("fonts-none", "1", {"usr/share/doc/fonts-none/copyright": "x"})
    archive.mark("lists")
    with pytest.raises(ZooError, match=r"package fonts-none has no \.ttf, .* file below /usr/share/fonts"):
        found(tmp_path / "home", packages=["fonts-none"])


def test_without_apt_the_error_names_what_else_there_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZooError, match=r"'apt-get' is not .*folders: .* or \{packages: \[\], system: true\}"):
        found(tmp_path / "home")


def test_the_font_of_capitals_is_refused_by_its_package():
    with pytest.raises(ValidationError, match="package fonts-humor-sans draws capitals for small letters"):
        FontOptions.model_validate({"packages": ["fonts-humor-sans"]})


def test_what_is_not_there_is_named(fonts, tmp_path):
    with pytest.raises(InputError, match="fonts: no folder '.*/none'"):
        found(tmp_path, packages=[], folders=[str(tmp_path / "none")])
    with pytest.raises(InputError, match="fonts: none found in nothing: packages, folders and system are all empty"):
        found(tmp_path, packages=[])
    with pytest.raises(InputError, match="no family 'Thin Bar' is among those found: .*'Thin Bars'"):
        found(tmp_path, packages=[], folders=[str(fonts)], test=["Thin Bar"])


def test_files_that_are_no_fonts_and_copies_are_passed_over(fonts, tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    (tmp_path / "copy.ttf").write_bytes((fonts / "thin.ttf").read_bytes())
    both = found(tmp_path, packages=[], folders=[str(tmp_path), str(fonts)])
    assert len(both.faces) == 4


def test_a_font_whose_tables_are_broken_can_draw_nothing(make_font, tmp_path):
    """Its table of characters is cut off where fontTools does not look before it reads it."""
    from fontTools.ttLib import TTFont

    path = make_font(tmp_path / "broken.ttf", "Broken")
    with TTFont(path) as font:
        entry = font.reader.tables["cmap"]
        start, length = entry.offset, entry.length
    content = bytearray(path.read_bytes())
    content[start : start + length] = b"\0\0\0\x09" + b"\xff" * (length - 4)
    path.write_bytes(content)
    (face,) = found(tmp_path, packages=[], folders=[str(tmp_path)]).faces
    assert face.characters == frozenset()
    path.write_bytes(b"not even a font any more")
    assert face.pictures("abc") == {}
