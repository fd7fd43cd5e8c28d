"""A peer on the pages: beside the models, and marked."""

from __future__ import annotations

import pytest

PEER = {
    "engine": "tesseract",
    "version": "5.3.0",
    "models": {"eng.traineddata": "sha256:" + "7" * 64},
    "libraries": {"leptonica": "1.82.0"},
    "precision": "int8",
}


@pytest.fixture
def found(make_record, part):
    """A model, a peer that is better, and a control."""
    nothing = {"parameters": None, "steps": None, "training_seconds": None, "curve": []}
    spec = {"name": "engine", "seed": 1, "task": {"use": "t"}, "peer": {"use": "zoo-ocr-peers/tesseract", "psm": 7}}
    read = part.cpu(0.05, dtype="int8", attention="none", training_tokens_per_second=None)
    read = read.model_copy(update={"throughput": [read.throughput[0].model_copy(update=RATE)]})
    return [
        make_record(name="rotary", quality=[part.quality(20.0)]),
        make_record(
            name="engine",
            role="peer",
            peer=PEER,
            spec=spec,
            quality=[part.quality(30.0)],
            performance=[read],
            **nothing,
        ),
        make_record(name="copy", role="baseline", spec={}, quality=[part.quality(4.0)], performance=[], **nothing),
    ]


RATE = {"tokens_per_second": None, "sentences_per_second": 12.5}


def test_the_board_ranks_it_with_the_models_and_marks_it(build, found):
    table = build(found).board().all("table")[0]
    rows = table.one("tbody").all("tr")
    assert [row.one("a").words for row in rows] == ["engine", "rotary", "copy"]
    assert [row.attributes["class"] for row in rows] == ["peer", "model", "baseline"]
    assert [[tag.words for tag in row.all("span", class_="tag")] for row in rows] == [
        ["not trained here"],
        [],
        ["baseline"],
    ]
    keys = [header.attributes["data-column"] for header in table.all("th") if "data-column" in header.attributes]
    cells = dict(zip(keys, rows[0].children_elements(), strict=True))
    assert cells["parameters"].words == "–"
    assert "data-value" not in cells["parameters"].attributes
    assert cells["steps"].words == "–"
    # One column of latency for both, whatever the peer computes in; and outputs a second, which both have.
    (latency,) = [key for key in keys if key.startswith("latency") and "p90" not in key]
    assert cells[latency].words.startswith("50")
    (outputs,) = [key for key in keys if key.startswith("outputs")]
    assert cells[outputs].words == "12.5"


def test_the_board_says_what_the_mark_means_only_where_it_stands(build, found):
    assert "Not trained here." in build(found).board().words
    assert "Not trained here." not in build([found[0]]).board().words


def test_its_page_says_what_ran_and_that_it_was_not_trained(build, found):
    page = build(found).model("engine")
    assert "It was not trained here" in page.words
    facts = {item.one("dt").words: item.one("dd").words for item in page.one("dl", class_="facts").all("div")}
    assert facts["Engine"] == "tesseract 5.3.0"
    assert facts["Weights held in"] == "int8"
    assert not {"Seed", "Parameters", "Steps", "Training time"} & set(facts)
    assert "eng.traineddata" in page.words
    assert "sha256:" + "7" * 64 in page.words


def test_the_index_counts_it_apart_and_marks_the_leader(build, found):
    card = build(found).index().one("li", class_="card")
    assert "1 model, 1 system not trained here, 1 baseline" in card.words
    assert [link.words for link in card.one("ul", class_="leaders").all("a")] == ["engine"]
    assert "not trained here" in card.one("ul", class_="leaders").words
