"""Pages whose lines have known boxes, against what pypdfium2 reads from their PDFs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from zoo_tasks_vision.pages.options import GeneratedPagesOptions
from zoo_tasks_vision.pages.typesetting import Typesetter, broken, clipped, pdf_of, settable
from zoo_tasks_vision.tasks.corpus_texts import DrawnCorpus
from zoo_tasks_vision.tasks.generated_pages import GeneratedPages

from zoo.errors import ZooError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS, silent

CORPUS = {"use": "generated", "pairs": 300, "dev_pairs": 40, "test_pairs": 40}


def options(fonts, **changes):
    given = {
        "corpus": CORPUS,
        "language": "qaa",
        "pages": 3,
        "dev_pages": 1,
        "test_pages": 1,
        "dpi": [80, 100],
        "fonts": {"packages": [], "folders": [str(fonts)]},
        **changes,
    }
    return GeneratedPagesOptions.model_validate(given)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def pages(fonts, home):
    return GeneratedPages(options(fonts)).prepare(home)


def test_all_ink_is_in_boxes_and_every_box_has_ink(pages):
    for split in SPLITS:
        for example in pages.examples(split):
            grey = example.image.load()[:, :, 0]  # [H, W]
            ink = grey < 128
            height, width = example.image.size
            covered = np.zeros_like(ink)
            assert len(example.boxes) > 10
            for truth in example.boxes:
                x1, y1, x2, y2 = truth.box
                assert 0 <= x1 < x2 <= width
                assert 0 <= y1 < y2 <= height
                inside = slice(int(y1), int(np.ceil(y2))), slice(int(x1), int(np.ceil(x2)))
                assert grey[inside].min() < 230  # a thin stroke is light where dots are few
                covered[inside] = True
            assert not (ink & ~covered).any()


def test_a_pdf_reader_finds_each_lines_text_in_its_box(fonts, home):
    from pypdfium2 import PdfDocument

    chosen = options(fonts)
    drawn = DrawnCorpus(chosen.corpus, chosen.language, chosen.fonts, home, silent)
    dealt = drawn.deal()
    texts = drawn.texts(dealt, dict.fromkeys(SPLITS, 100))
    typesetter = Typesetter(chosen, settable(dealt.faces["train"]))
    for number in range(2):
        page, _, _ = typesetter.page("train", number, texts["train"])
        document = PdfDocument(pdf_of(page))
        reader = document[0].get_textpage()
        for line in page.lines:
            left, top, right, bottom = line.box
            found = reader.get_text_bounded(
                left - 0.1, page.height - bottom - 0.1, right + 0.1, page.height - top + 0.1
            )
            assert " ".join(found.split()) == line.text
        document.close()


def test_the_same_options_give_the_same_pages_and_fonts_are_held_out(fonts, pages, tmp_path):
    again = GeneratedPages(options(fonts)).prepare(DataHome(tmp_path))
    assert again.revision == pages.revision
    assert again.outputs == "detections"
    named = [{face.split(" Bars")[0] for face in pages.facts["fonts"][split]} for split in SPLITS]
    assert sum(map(len, named)) == len(set.union(*named)) == 3


def test_without_its_packages_the_task_says_what_to_install(fonts, home, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ZooError, match=r"needs reportlab, .*: pip install 'zoo-tasks-vision\[pages\]'"):
        GeneratedPages(options(fonts)).prepare(home)


def test_sizes_in_the_wrong_order_are_refused(fonts):
    with pytest.raises(ValidationError, match=r"font_sizes \[9.0, 5.0\]: expected two sizes from 2 to 72"):
        options(fonts, font_sizes=[9.0, 5.0])


@settings(deadline=None)
@given(text=st.text("ab 語", max_size=60), room=st.integers(1, 12))
def test_broken_lines_fit_and_lose_nothing_but_spaces(text, room):
    lines = broken(text, len, room)
    assert all(0 < len(line) <= room for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_words_are_kept_whole_where_a_space_is_in_reach():
    assert broken("one two three", len, 8) == ["one two", "three"]
    assert broken("onetwothree", len, 4) == ["onet", "woth", "ree"]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 10, 20, 20), (20, 20, 40, 40)),
        ((-5, 90, 60, 120), (0, 180, 100, 200)),
        ((60, 10, 70, 20), None),
        ((10, 110, 20, 120), None),
    ],
)
def test_boxes_are_scaled_and_clipped_to_the_image(box, expected):
    assert clipped(box, 2.0, height=200, width=100) == expected
