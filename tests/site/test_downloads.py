"""CSV and JSON beside a board."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.site.downloads import guarded


def table(site, task="office-zh-en"):
    with site.board_file(task, "csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


def test_the_csv_has_a_row_per_model_with_full_values(build, realistic):
    rows = table(build(realistic))
    assert [row["model"] for row in rows] == ["rotary", "alibi", "sinusoidal", "learned-lr-0.1", "copy", "untrained"]
    first = rows[0]
    assert first["rank"] == "1"
    assert float(first["BLEU"]) == pytest.approx((24.6 + 24.1 + 25.0) / 3, abs=1e-12)
    assert (float(first["BLEU interval low"]), float(first["BLEU interval high"])) == pytest.approx((22.9, 26.2))
    assert first["BLEU seeds"] == "3"
    assert first["parameters"] == "7350272"
    assert first["peak memory (bytes, cuda-allocated) on NVIDIA H100 80GB HBM3, bfloat16"] == str(96 * 2**20)
    assert rows[3]["status"] == "collapsed"
    assert rows[3]["reason"].startswith("one output for 98.7%")
    assert {row["role"] for row in rows[4:]} == {"baseline"}


def test_the_json_holds_the_same_values_and_what_the_columns_mean(build, realistic):
    site = build(realistic)
    content = json.loads(site.board_file(ending="json").read_text(encoding="utf-8"))
    assert content["schema"] == "zoo.board/1"
    assert content["ranked_by"]["metric"] == "BLEU"
    assert content["ranked_by"]["signature"].endswith("version:2.5.1")
    for row, line in zip(content["rows"], table(site), strict=True):
        assert list(row) == list(line)
        assert {key: "" if value is None else str(value) for key, value in row.items()} == line


def test_names_with_commas_quotes_and_line_breaks_stay_one_cell(build, make_record):
    name = 'a "quoted", long\nname'
    assert table(build([make_record(name=name)]))[0]["model"] == name


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\n", " =", "＝"])
def test_a_text_that_a_spreadsheet_would_run_is_guarded(build, make_record, start):
    row = table(build([make_record(name=f"{start}HYPERLINK(1)")]))[0]
    assert row["model"].startswith("'")
    assert row["model"].endswith("HYPERLINK(1)")


def test_headings_that_a_spreadsheet_would_run_are_guarded_too(build, make_record, part):
    rows = table(build([make_record(quality=[part.quality(1.0, metric="=cmd()")])]))
    assert "'=cmd()" in rows[0]
    assert "=cmd()" not in rows[0]


def test_negative_numbers_stay_numbers(build, make_record, part):
    rows = table(build([make_record(quality=[part.quality(-1.5, metric="COMET", half_width=None)])]))
    assert rows[0]["COMET"] == "-1.5"


def test_a_mean_beyond_floats_is_left_out_rather_than_written_as_infinite(build, make_record, part):
    huge = [make_record(seed=seed, quality=[part.quality(1.7e308, half_width=None)]) for seed in (1, 2)]
    site = build(huge)
    assert table(site)[0]["BLEU"] == ""
    assert json.loads(site.board_file(ending="json").read_text(encoding="utf-8"))["rows"][0]["BLEU"] is None


@given(st.text())
def test_no_guarded_text_begins_like_a_formula_and_csv_gives_it_back(text):
    cell = guarded(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert not cell.startswith(("\t", "\r", "\n"))
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\r\n").writerow([cell, "end"])
    assert list(csv.reader(io.StringIO(stream.getvalue(), newline=""), strict=True)) == [[cell, "end"]]
