"""CSV and JSON beside a board."""

from __future__ import annotations

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.bench.record import Distribution
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


def test_the_parquet_file_holds_the_same_values_in_typed_columns(build, realistic):
    site = build(realistic)
    file = pq.read_table(site.board_file(ending="parquet"))
    content = json.loads(site.board_file(ending="json").read_text(encoding="utf-8"))
    assert file.to_pylist() == content["rows"]
    types = {field.name: str(field.type) for field in file.schema}
    assert (types["model"], types["BLEU"], types["parameters"], types["rank"]) == ("string", "double", "int64", "int64")
    about = json.loads(file.schema.metadata[b"zoo"])
    assert about["schema"] == "zoo.board/1"
    assert about["columns"] == content["columns"]


def test_parquet_holds_what_json_allows_and_arrow_does_not(build, make_record, part):
    quality = [part.quality(2.0**70, metric=metric, half_width=None) for metric in ("BLEU", "BLEU\u200b")]
    site = build([make_record(name="ok"), make_record(name="nul\x00 byte", quality=quality)])
    file = pq.read_table(site.board_file(ending="parquet"))
    assert len(set(file.column_names)) == len(file.column_names)
    assert "nul\N{REPLACEMENT CHARACTER} byte" in file["model"].to_pylist()
    assert 2.0**70 in [value for column in file.columns for value in column.to_pylist()]


def test_a_batch_that_did_not_fit_is_on_the_board_and_in_the_downloads(build, make_record, part):
    throughput = [{"batch": 1, "tokens_per_second": 50.0}, {"batch": 64, "status": "oom"}]
    fitting = [{"batch": 64, "tokens_per_second": 900.0}]
    site = build(
        [
            make_record(name="large", performance=[part.cpu(throughput=throughput)]),
            make_record(name="small", performance=[part.cpu(throughput=fitting)]),
        ]
    )
    of = "on CPU AMD EPYC 7763 64-Core Processor, 2 threads, float32"
    rows = {row["model"]: row for row in table(site)}
    assert (rows["large"][f"tokens/s (batch 64) {of}"], rows["large"][f"status (batch 64) {of}"]) == ("", "oom")
    assert (rows["small"][f"tokens/s (batch 64) {of}"], rows["small"][f"status (batch 64) {of}"]) == ("900", "ok")
    assert rows["small"][f"status (batch 1) {of}"] == ""
    assert "oom" in [cell.words for cell in site.board().all("td", class_="number")]


def test_processes_that_differ_much_are_called_unsteady(build, make_record, part):
    latency = {"unit": "s", "samples": 100, "median": 0.104, "minimum": 0.09, "maximum": 0.3}
    latency |= {"processes": [0.101, 0.104, 0.163]}
    measured = part.cpu().model_copy(update={"latency": Distribution.model_validate(latency)})
    site = build([make_record(performance=[measured])])
    assert "104101 to 163, 3 processes, unsteady" in [cell.words for cell in site.board().all("td", class_="number")]


def test_latency_is_the_median_of_processes_with_their_range(build, make_record, part):
    latency = {"unit": "s", "samples": 100, "median": 0.104, "minimum": 0.09, "maximum": 0.3}
    latency |= {"processes": [0.101, 0.108, 0.104, 0.103, 0.107]}
    measured = part.cpu().model_copy(update={"latency": Distribution.model_validate(latency)})
    site = build([make_record(performance=[measured])])
    (row,) = table(site)
    of = "on CPU AMD EPYC 7763 64-Core Processor, 2 threads, float32"
    found = [row[f"latency {what} {of}"] for what in ("(s)", "low (s)", "high (s)", "processes")]
    assert found == ["0.104", "0.101", "0.108", "5"]
    assert "104101 to 108, 5 processes" in [cell.words for cell in site.board().all("td", class_="number")]


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
