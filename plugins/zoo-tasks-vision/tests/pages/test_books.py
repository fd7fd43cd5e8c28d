"""Documents of PDFs, and their splits."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from zoo_tasks_vision.pages import books
from zoo_tasks_vision.pages.books import chosen_pages, dealt, document_of, found_books, in_one_look, merged
from zoo_tasks_vision.pages.options import DocumentPagesOptions, PdfOptions
from zoo_tasks_vision.pages.poppler import PdfLine, PdfPage
from zoo_tasks_vision.tasks import pdf_tasks
from zoo_tasks_vision.tasks.pdf_tasks import DocumentPages, TypesetLines

from zoo.errors import InputError, ZooError
from zoo.tasks import DataHome, GroundTruth
from zoo.tasks.contracts import SPLITS, silent
from zoo.testing.archive import Archive


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    return Archive.at(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("folder", "stem", "expected"),
    [
        ("debmake-doc", "debmake-doc.zh-cn", "debmake-doc/debmake-doc"),
        ("maint-guide-ja", "maint-guide.ja", "maint-guide/maint-guide"),
        ("installation-guide-amd64", "install.pt_BR", "installation-guide-amd64/install"),
        ("r-doc-pdf", "R-admin", "r-doc-pdf/R-admin"),
    ],
)
def test_all_translations_of_a_book_are_one_document(folder, stem, expected):
    assert document_of(folder, stem) == expected


def test_books_of_packages_are_unpacked_once_and_copies_and_cards_left_out(archive, tmp_path):
    first, second = b"%PDF one" * 10_000, b"%PDF two" * 10_000
    files = {
        "usr/share/doc/some-doc/guide.en.pdf": first,
        "usr/share/doc/some-doc/copy.pdf": first,
        "usr/share/doc/some-doc/ja/guide.ja.pdf.gz": gzip.compress(second),
        "usr/share/doc/some-doc/card.pdf": b"%PDF card",
        "usr/share/doc/some-doc/copyright": "GPL-2+",
    }
    archive.put("some-doc", "1:2-3", files)
    archive.mark("lists")
    options = PdfOptions.model_validate({"packages": ["some-doc"]})
    found, versions = found_books(options, DataHome(tmp_path / "home"), silent)
    assert versions == {"some-doc": "1:2-3"}
    assert {book.path.read_bytes() for book in found} == {first, second}
    assert len(found) == 2
    assert (found[0].path.parent / "copyright").read_text() == "GPL-2+"
    archive.mark("offline")
    (tmp_path / "home" / "downloads" / "debian").rename(tmp_path / "gone")
    assert found_books(options, DataHome(tmp_path / "home"), silent)[0] == found


def test_editions_that_share_half_of_their_lines_are_one_document():
    texts = {
        "a/full": {"1", "2", "3", "4"},
        "a/short": {"3", "4", "5"},
        "b/other": {"5", "6", "7", "8"},
        "c/none": set(),
    }
    assert merged(texts) == {"a/full": "a/full", "a/short": "a/full", "b/other": "b/other", "c/none": "c/none"}


def test_two_documents_that_share_nothing_but_a_third_are_one():
    """The third is read last: by then both have a name of their own."""
    texts = {"a": {"1", "2"}, "b": {"3", "4"}, "c": {"1", "2", "3", "4"}, "d": {"5"}}
    assert merged(texts) == {"a": "a", "b": "a", "c": "a", "d": "d"}


def test_a_pdf_that_unpacks_to_more_than_any_book_is_refused(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(books, "_LARGEST", 2**20)
    archive.put("some-doc", "1", {"usr/share/doc/some-doc/bomb.pdf.gz": gzip.compress(bytes(2**20 + 1))})
    archive.mark("lists")
    with pytest.raises(ZooError, match=r"bomb\.pdf\.gz unpacks to more than 1048576 bytes"):
        found_books(PdfOptions(packages=["some-doc"]), DataHome(tmp_path / "home"), silent)


def test_documents_are_dealt_whole_and_as_asked_for():
    owners = {f"book/{letter}": f"book/{letter}" for letter in "abcdefgh"} | {"book/again": "book/a"}
    sides = dealt(owners, PdfOptions(held_out=0.25))
    assert [list(sides.values()).count(split) for split in ("dev", "test")] in ([2, 2], [3, 2], [2, 3])
    assert sides["book/again"] == sides["book/a"]
    asked = dealt(owners, PdfOptions(dev=["book/again"], test=["book/c"]))
    assert {name for name, split in asked.items() if split == "dev"} == {"book/a", "book/again"}
    assert {name for name, split in asked.items() if split == "test"} == {"book/c"}
    with pytest.raises(InputError, match="no document 'book/z' among the PDFs"):
        dealt(owners, PdfOptions(dev=["book/z"]))
    with pytest.raises(InputError, match="document 'book/a' is given to dev and to test"):
        dealt(owners, PdfOptions(dev=["book/again"], test=["book/a"]))
    with pytest.raises(InputError, match="2 documents .* are too few"):
        dealt({"a": "a", "b": "b"}, PdfOptions())


def test_documents_that_share_a_font_are_held_out_together():
    """b is set in two fonts, and so joins a and c; e's translation shares the font of d; f has a font of its own."""
    owners = {name: name for name in "abcdefg"} | {"g": "f"}
    looks = {
        "a": [{"Serif"}],
        "b": [{"Serif", "Sans"}],
        "c": [{"Sans"}],
        "d": [{"Mincho"}],
        "e": [{"Roman"}, {"Mincho"}],
        "f": [{"Antiqua"}],
        "g": [set()],
    }
    groups = in_one_look(owners, looks)
    assert groups == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d", "f": "f", "g": "f"}
    sides = dealt(groups, PdfOptions(held_out_fonts=True))
    assert {sides[name] for name in "abc"} == {"train"}  # the most documents
    assert sides["d"] == sides["e"] != sides["f"] == sides["g"] != "train"
    asked = dealt(groups, PdfOptions(held_out_fonts=True, test=["b"]))
    assert {name for name, split in asked.items() if split == "test"} == {"a", "b", "c"}
    with pytest.raises(InputError, match=r"'c' is given to dev and to test \(with held_out_fonts, by those that share"):
        dealt(groups, PdfOptions(held_out_fonts=True, dev=["a"], test=["c"]))
    with pytest.raises(
        InputError, match=r"3 documents are 2 of one look each \(a, f\), .* set held_out_fonts to false"
    ):
        dealt({"a": "a", "b": "a", "f": "f"}, PdfOptions(held_out_fonts=True))


def test_an_option_that_earlier_specs_had_not_leaves_their_hash():
    assert "held_out_fonts" not in DocumentPagesOptions().plain()
    assert DocumentPagesOptions(held_out_fonts=True).plain()["held_out_fonts"] is True


def test_pdfs_that_are_called_alike_have_names_of_their_own(tmp_path):
    for place, folder in enumerate(("one/guide", "two/guide", "two/guide-ja")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "book.pdf").write_bytes(b"%%PDF %d" % place)
    (tmp_path / "one" / "guide" / "alone.pdf").write_bytes(b"%PDF alone")
    options = PdfOptions(packages=[], folders=[str(tmp_path)])
    found, _ = found_books(options, DataHome(tmp_path / "home"), silent)
    names = [book.name for book in found]
    assert len(set(names)) == 4
    assert names[0] == "guide/alone"
    assert names[1:] == sorted(f"guide/book~{book.digest[:8]}" for book in found[1:])
    assert {book.document for book in found} == {"guide/alone", "guide/book"}


def test_pages_are_chosen_evenly():
    assert chosen_pages(3, 5) == [1, 2, 3]
    assert chosen_pages(100, 4) == [1, 26, 51, 76]


def test_without_apt_the_error_names_what_else_there_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZooError, match=r"PDFs cannot be fetched: 'apt-get' .*or use task 'generated-pages'"):
        DocumentPages(DocumentPagesOptions()).prepare(DataHome(tmp_path / "home"))


@pytest.fixture
def readers(tmp_path, monkeypatch):
    """Three books of two pages; what reads and draws them stands in for poppler. A page is white with black lines."""
    import numpy as np

    for name in "abc":
        (tmp_path / "pdfs").mkdir(exist_ok=True)
        (tmp_path / "pdfs" / f"{name}.pdf").write_bytes(name.encode())

    def pages_of(path):
        lines = tuple(
            PdfLine(
                f"line {n} of the book {path.stem}",
                (10.0, 20.0 * n, 90.0 + 100 * (n == 3), 20.0 * n + 10),
                # The first line of every book is set in one font, and the others in a font of the book.
                "Common" if n == 0 else f"Face {path.stem}",
            )
            for n in range(4)
        )
        return [PdfPage(number, 150.0, 100.0, lines) for number in (1, 2)]

    def image_of(path, page, dpi):
        pixels = np.full((100 * dpi // 72, 150 * dpi // 72), 255, np.uint8)
        for n in range(4):
            top = 20 * n * dpi // 72
            pixels[top + 3 * dpi // 72 : top + 7 * dpi // 72, 12 * dpi // 72 : 88 * dpi // 72] = 0
        return pixels

    monkeypatch.setattr(pdf_tasks.poppler, "require", lambda: None)
    monkeypatch.setattr(pdf_tasks.poppler, "pages_of", pages_of)
    monkeypatch.setattr(pdf_tasks.poppler, "image_of", image_of)
    return {"packages": [], "folders": [str(tmp_path / "pdfs")], "dpi": [144]}


def test_pages_have_their_lines_as_boxes_clipped_to_the_page(readers, tmp_path):
    prepared = DocumentPages(DocumentPagesOptions.model_validate(readers)).prepare(DataHome(tmp_path / "home"))
    assert [len(prepared.examples(split)) for split in SPLITS] == [2, 2, 2]
    example = prepared.examples("train")[0]
    assert example.image.size == (200, 300)
    assert example.boxes[0] == GroundTruth((20.0, 0.0, 180.0, 20.0), 1)
    assert example.boxes[3] == GroundTruth((20.0, 120.0, 300.0, 140.0), 1)
    assert prepared.facts["categories"] == [{"id": 1, "name": "line"}]
    documents = [{item.document for item in prepared.examples(split)} for split in SPLITS]
    assert len(set.union(*documents)) == 3
    assert prepared.facts["fonts_of_train_in"] == {"dev": ["Common"], "test": ["Common"]}
    assert prepared.facts["lines_in_fonts_of_train"] == {"dev": 0.25, "test": 0.25}  # one line of four
    (train,) = (set(fonts) - {"Common"} for split, fonts in prepared.facts["fonts"].items() if split == "train")
    assert prepared.facts["fonts"]["train"] == {"Common": 2, min(train): 6}
    assert [prepared.examples(split)[0].strata["font"] for split in SPLITS] == ["seen", "unseen", "unseen"]


def test_lines_are_cut_out_with_their_text(readers, tmp_path):
    from zoo_tasks_vision.pages.options import TypesetLinesOptions

    given = {**readers, "margin": 0.5, "lines": 6, "dev_lines": 3, "test_lines": 2}
    prepared = TypesetLines(TypesetLinesOptions.model_validate(given)).prepare(DataHome(tmp_path / "home"))
    assert [len(prepared.examples(split)) for split in SPLITS] == [6, 3, 2]
    example = prepared.examples("train")[1]
    assert example.target.startswith("line 1 of the book ")
    assert example.strata == {"aspect": "2-5", "height": "32-64", "content": "text", "font": "seen"}
    known = {item.target.split(" of ")[0]: item.strata["font"] for item in prepared.examples("dev")}
    assert {"line 0": "seen"}.items() < known.items()
    assert {font for line, font in known.items() if line != "line 0"} == {"unseen"}
    # 10 points at 144 dpi, and half of that above and below; 80 points wide and the margins.
    assert example.image.size == (40, 180)
    ink = example.image.load()[:, :, 0] == 0
    assert ink.any()
    assert not ink[:10].any()
    assert not ink[-10:].any()
