"""An exported model on the pages: beside the model in torch, in the same columns, and named for what ran."""

from __future__ import annotations

import pytest

EXPORT = {"exporter": "onnx", "weights": "int8", "runtime": {"onnxruntime": "1.32.0"}}


@pytest.fixture
def found(make_record, part):
    """A model in torch, and an export of it."""
    measured = part.cpu(0.004, dtype="int8", attention="none", training_tokens_per_second=None)
    return [
        make_record(name="rotary", quality=[part.quality(20.0)], performance=[part.cpu(0.02)]),
        make_record(
            name="rotary-int8",
            quality=[part.quality(19.0)],
            performance=[measured.model_copy(update={"disk_bytes": 3 * 2**20})],
            export=EXPORT,
        ),
    ]


def _rows(page):
    table = page.all("table")[0]
    keys = [header.attributes["data-column"] for header in table.all("th") if "data-column" in header.attributes]
    return keys, [dict(zip(keys, row.children_elements(), strict=True)) for row in table.one("tbody").all("tr")]


def test_it_stands_beside_the_model_in_the_same_columns(build, found):
    """Whatever its weights are held in."""
    keys, rows = _rows(build(found).board())
    (latency,) = [key for key in keys if key.startswith("latency") and "p90" not in key]
    assert [row[latency].words.split()[0] for row in rows] == ["20.0", "4.00"]
    (training,) = [key for key in keys if key.startswith("training-device")]
    assert all(row[training].words not in {"", "–"} for row in rows)
    (disk,) = [key for key in keys if key.startswith("disk")]
    assert [row[disk].words for row in rows] == ["–", "3"]


def test_the_board_names_what_ran_only_where_there_is_an_export(build, found):
    keys, rows = _rows(build(found).board())
    (form,) = [key for key in keys if key.startswith("runs")]
    assert [row[form].words for row in rows] == ["torch", "onnx, int8"]
    keys, _ = _rows(build(found[:1]).board())
    assert not [key for key in keys if key.startswith("runs")]


def test_its_page_says_what_ran(build, found):
    site = build(found)
    said = {
        item.one("dt").words: item.one("dd").words for item in site.model("rotary-int8").all("div") if item.all("dt")
    }
    assert said["Evaluated as"] == "onnx, weights held in int8, run by onnxruntime 1.32.0"
    assert "Evaluated as" not in site.model("rotary").words
