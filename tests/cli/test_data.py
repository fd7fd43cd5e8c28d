"""`zoo data`."""

from __future__ import annotations

import json
import sys

import pytest

from zoo.cli.main import main
from zoo.registry import current_registry

CORPORA = {item.name: item for item in current_registry().components("corpus")}
pytestmark = pytest.mark.skipif("generated" not in CORPORA, reason="needs the text tasks plugin")
SMALL = ["--set", "pairs=30", "--set", "dev_pairs=10", "--set", "test_pairs=10"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    return tmp_path


def output(capsys, *arguments):
    assert main(["data", *arguments]) == 0
    return capsys.readouterr().out


def test_list_names_every_corpus_and_what_is_prepared(capsys):
    before = {row["name"]: row for row in json.loads(output(capsys, "list", "--json"))}
    assert set(before) == set(CORPORA)
    assert before["generated"]["prepared"] is None
    output(capsys, "prepare", "generated")
    after = {row["name"]: row for row in json.loads(output(capsys, "list", "--json"))}
    assert after["generated"]["prepared"]["pairs"]["train"] == 10_000
    assert after["generated"]["prepared"]["revision"][:19] in output(capsys, "list")


def test_a_corpus_that_cannot_be_imported_costs_a_warning_and_not_the_list(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "zoo_tasks_text.corpora.games", None)
    rows = {row["name"]: row for row in json.loads(output(capsys, "list", "--json"))}
    assert set(rows) == set(CORPORA)
    assert rows["games-zh-en"]["prepared"] is None


def test_prepare_builds_what_show_then_shows(capsys):
    prepared = json.loads(output(capsys, "prepare", "generated", *SMALL, "--json"))
    assert prepared["pairs"] == {"train": 30, "dev": 10, "test": 10}
    shown = json.loads(output(capsys, "show", "generated", *SMALL, "--json"))
    assert shown["revision"] == prepared["revision"]
    assert shown["pairs"] == prepared["pairs"]
    assert len(shown["samples"]) == 20
    assert set(shown["samples"][0]["texts"]) == {"qaa", "qab"}
    assert prepared["revision"] in output(capsys, "show", "generated", *SMALL)


def test_show_prints_about_80_lines_of_sizes_lengths_alignment_and_samples(capsys):
    output(capsys, "prepare", "generated", *SMALL)
    lines = output(capsys, "show", "generated", *SMALL).splitlines()
    assert len(lines) <= 80
    assert max(map(len, lines)) <= 120
    assert [line.split()[0] for line in lines if line[:1].isupper()] == ["SIZE", "LENGTH", "ALIGNMENT", "SAMPLES"]
    (sizes,) = (line.split() for line in lines if line.startswith("pairs"))
    assert sizes == ["pairs", "30", "10", "10", "50"]
    assert len(output(capsys, "show", "generated", *SMALL, "--samples", "3").splitlines()) == len(lines) - 2 * 17


def test_show_reads_and_changes_nothing(capsys, home):
    output(capsys, "prepare", "generated", *SMALL)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    output(capsys, "show", "generated", *SMALL)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_show_of_what_is_not_prepared_says_how_to_prepare_it(capsys):
    assert main(["data", "show", "generated"]) == 1
    error = capsys.readouterr().err
    assert error.splitlines() == [error.strip()]
    assert "zoo data prepare generated" in error


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["prepare", "generate"], "did you mean 'generated'?"),
        (["prepare", "generated", "--set", "pair=3"], "did you mean 'pairs'?"),
        (["prepare", "generated", "--set", "pairs=many"], "pairs"),
        (["prepare", "generated", "--set", "pairs"], "expected PATH=VALUE"),
        (["prepare", "parallel-files"], "missing key 'languages'"),
    ],
)
def test_mistakes_end_in_status_2_and_one_line_each(capsys, arguments, expected):
    assert main(["data", *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert all(line.startswith("zoo: ") for line in error.splitlines())


def test_the_users_own_files_are_prepared_from_the_command_line(capsys, tmp_path):
    file = tmp_path / "own.tsv"
    file.write_text("".join(f"文{a}{b}\ttext {a}{b}\n" for a in "abcdefghij" for b in "klmnopqrst"), encoding="utf-8")
    options = ["name=own", "languages=[zh, en]", f"train={file}", "dev_fraction=0.1", "test_fraction=0.1"]
    sets = [part for option in options for part in ("--set", option)]
    prepared = json.loads(output(capsys, "prepare", "parallel-files", *sets, "--json"))
    assert sum(prepared["pairs"].values()) == 100
    assert prepared["languages"] == ["zh", "en"]
