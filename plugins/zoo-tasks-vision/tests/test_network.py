"""The real archive: fonts and books as Debian has them, fetched once into this machine's data folder."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from zoo_tasks_vision.fonts.dealing import groups_of
from zoo_tasks_vision.fonts.options import FontOptions
from zoo_tasks_vision.fonts.sources import found_faces
from zoo_tasks_vision.pages.books import found_books
from zoo_tasks_vision.pages.options import DocumentPagesOptions, PdfOptions
from zoo_tasks_vision.pages.poppler import require
from zoo_tasks_vision.tasks.pdf_tasks import DocumentPages

from zoo.errors import ZooError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS, silent

pytestmark = [
    pytest.mark.network,
    pytest.mark.once,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="packages come through apt"),
]


def test_the_default_fonts_are_had_and_are_of_several_groups():
    found = found_faces(FontOptions(), DataHome.default(), silent)
    assert set(found.packages) == set(FontOptions().packages)
    families = {face.family for face in found.faces}
    assert {"DejaVu Sans", "Liberation Serif", "FreeMono", "Comic Neue"} <= families
    assert len(groups_of(found.faces, Counter("The quick brown fox jumps over the lazy dog"))) >= 5
    for face in found.faces:
        assert (face.path.parent / "copyright").is_file()


def test_translations_of_a_book_are_one_document():
    options = PdfOptions(packages=["debmake-doc", "maint-guide", "maint-guide-ja"])
    books, _ = found_books(options, DataHome.default(), silent)
    assert {book.document for book in books} == {"debmake-doc/debmake-doc", "maint-guide/maint-guide"}
    assert len(books) >= 8


def test_pages_of_real_books_have_boxes_with_ink():
    try:
        require()
    except ZooError as error:
        pytest.skip(str(error))
    packages = ["developers-reference", "maint-guide", "maint-guide-ja", "debian-reference-en"]
    options = DocumentPagesOptions(packages=packages, pages_of_a_file=4)
    prepared = DocumentPages(options).prepare(DataHome.default())
    for split in SPLITS:
        examples = prepared.examples(split)
        assert sum(len(example.boxes) for example in examples) > 10
        for example in examples:
            pixels = example.image.load()[:, :, 0]
            for truth in example.boxes:
                x1, y1, x2, y2 = truth.box
                assert pixels[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1].min() < pixels.max()
