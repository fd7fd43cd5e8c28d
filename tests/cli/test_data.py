"""`zoo data`."""

from __future__ import annotations

import json

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


def test_prepare_builds_what_show_then_shows(capsys):
    prepared = json.loads(output(capsys, "prepare", "generated", *SMALL, "--json"))
    assert prepared["pairs"] == {"train": 30, "dev": 10, "test": 10}
    shown = json.loads(output(capsys, "show", "generated", *SMALL, "--json"))
    assert shown["revision"] == prepared["revision"]
    assert len(shown["samples"]) == 5
    assert set(shown["samples"][0]) == {"qaa", "qab"}
    assert prepared["revision"] in output(capsys, "show", "generated", *SMALL)


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
