"""What poppler writes, read; and its tools, where they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from zoo_tasks_vision.pages import poppler
from zoo_tasks_vision.pages.poppler import PdfLine, joined, parsed

from zoo.errors import ZooError

LAYOUT = """<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://nowhere.invalid/xhtml1.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x\x0cy</title></head><body><doc>
  <page width="200.0" height="100.0"><flow><block xMin="10" yMin="10" xMax="90" yMax="40">
    <line xMin="10" yMin="10" xMax="90" yMax="20">
      <word xMin="10" yMin="10" xMax="40" yMax="20">Fish &amp;</word>
      <word xMin="43" yMin="10" xMax="90" yMax="20">\x02chips</word>
    </line>
    <line xMin="10" yMin="30" xMax="60" yMax="40">
      <word xMin="10" yMin="30" xMax="30" yMax="40">保存</word>
      <word xMin="30.5" yMin="30" xMax="60" yMax="40">PDF</word>
    </line>
    <line xMin="10" yMin="50" xMax="60" yMax="60"><word xMin="10" yMin="50" xMax="60" yMax="60"> </word></line>
    <line xMin="10" yMin="70" xMax="10" yMax="80"><word xMin="10" yMin="70" xMax="10" yMax="80">thin</word></line>
  </block></flow></page>
  <page width="100.0" height="200.0"></page>
</doc></body></html>"""


def test_lines_have_their_boxes_and_words_are_joined_by_their_gaps():
    first, second = parsed(LAYOUT.encode())
    assert (first.number, first.width, first.height) == (1, 200.0, 100.0)
    assert first.lines == (PdfLine("Fish & chips", (10, 10, 90, 20)), PdfLine("保存PDF", (10, 30, 60, 40)))
    assert (second.number, second.width, second.height, second.lines) == (2, 100.0, 200.0, ())


def test_a_gap_of_a_tenth_of_the_height_is_no_space_yet():
    assert joined([((0, 0, 10, 10), "a"), ((11, 0, 20, 10), "b"), ((21.1, 0, 30, 10), "c")]) == "ab c"


def test_what_is_no_layout_is_an_error():
    with pytest.raises(ZooError, match="pdftotext's output cannot be read"):
        list(parsed(b"<html><page>"))


def test_without_poppler_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZooError, match=r"'pdftotext' of poppler is not on this machine: apt install poppler-utils"):
        poppler.require()
    (tmp_path / "bin").mkdir()
    for tool in poppler.TOOLS:
        (tmp_path / "bin" / tool).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ZooError, match="poppler's data for East Asian text"):
        poppler.require()
    (tmp_path / "share" / "poppler" / "cMap").mkdir(parents=True)
    poppler.require()


def stand_in(tmp_path, monkeypatch, script, name="pdftoppm"):
    """A tool that is a shell script."""
    tool = tmp_path / "bin" / name
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", "No such file"),
        ('for last; do :; done; printf "P5 60000 60000 255\\n" > "$last.pgm"', "exceeds limit"),
    ],
    ids=["nothing", "a page of 3.6 billion pixels"],
)
def test_a_page_that_cannot_be_drawn_is_one_line(tmp_path, monkeypatch, script, said):
    stand_in(tmp_path, monkeypatch, script)
    with pytest.raises(ZooError, match=rf"x.pdf: page 1 cannot be drawn at 72 dpi: [^\n]*{said}[^\n]*$"):
        poppler.image_of(tmp_path / "x.pdf", 1, 72)


def test_a_tool_that_does_not_end_is_stopped_and_the_file_named(tmp_path, monkeypatch):
    monkeypatch.setattr(poppler, "SECONDS_OF_A_FILE", 0.2)
    stand_in(tmp_path, monkeypatch, "exec sleep 60", "pdftotext")
    with pytest.raises(ZooError, match=r"x.pdf cannot be read: pdftotext has not ended after 0.2 s$"):
        poppler.pages_of(tmp_path / "x.pdf")


def test_a_file_is_no_option_of_popplers_whatever_its_name(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, 'for name; do case "$name" in -x.pdf) exit 9;; esac; done; exit 3')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZooError, match="status 3"):
        poppler.image_of(Path("-x.pdf"), 1, 72)


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler-utils")
def test_popplers_lines_are_those_that_were_set(fonts, tmp_path):
    """A page of known lines: poppler finds their text, and ink in each box."""
    from zoo_tasks_vision.fonts.faces import faces_of
    from zoo_tasks_vision.pages.typesetting import Font, SetPage, Typesetter, pdf_of

    font = Font(next(faces_of(fonts / "wide.ttf")))
    page = SetPage(300.0, 200.0)
    for number, text in enumerate(("first line here", "second", "the third one")):
        Typesetter._put(page, font, 10.0, 20.0, 160.0 - 40 * number, text)
    path = tmp_path / "page.pdf"
    path.write_bytes(pdf_of(page))
    (found,) = poppler.pages_of(path)
    assert [line.text for line in found.lines] == [line.text for line in page.lines]
    for one, other in zip(found.lines, page.lines, strict=True):
        assert one.box == pytest.approx(other.box, abs=1.5)
    pixels = poppler.image_of(path, 1, 72)
    assert pixels.shape == (200, 300)
    for line in found.lines:
        left, top, right, bottom = (round(edge) for edge in line.box)
        assert pixels[top:bottom, left:right].min() < 100
    assert np.median(pixels) == 255
    assert {line.font for line in found.lines} == {"Wide-Bars"}  # as reportlab writes it
    path.write_bytes(b"no PDF")
    with pytest.raises(ZooError, match="page.pdf cannot be read: pdftotext: "):
        poppler.pages_of(path)
