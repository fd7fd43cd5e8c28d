from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from zoo.bench import Record, RecordStore
from zoo.cli.main import main

Append = Callable[..., Record]
Capture = pytest.CaptureFixture[str]


def test_a_store_that_holds_is_counted(tmp_path: Path, append_sound_record: Append, capsys: Capture) -> None:
    append_sound_record(tmp_path, seed=1)
    append_sound_record(tmp_path, seed=2)
    assert main(["records", "check", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out == "2 records, 2 with outputs, 4 scores computed again\n"
    assert err == ""


def test_records_of_an_older_schema_are_counted(tmp_path: Path, append_sound_record: Append, capsys: Capture) -> None:
    record = append_sound_record(tmp_path, outputs=None, performance=[])
    path = tmp_path / f"{record.id}.json"
    document = json.loads(path.read_text().replace("zoo.record/5", "zoo.record/1"))
    del document["outputs"], document["hardware"]
    path.write_text(json.dumps(document))
    (tmp_path / f"{record.id}.outputs.parquet").unlink()
    assert main(["records", "check", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("1 records (1 of an older schema), 0 with outputs")


def test_every_problem_is_one_line_and_the_status_is_2(
    tmp_path: Path, append_sound_record: Append, capsys: Capture
) -> None:
    append_sound_record(tmp_path)
    wrong = append_sound_record(tmp_path, seed=2, spec_hash="sha256:\x1b[31m")
    (tmp_path / "half.json").write_text('{"schema": ')
    (tmp_path / "array.json").write_text("[]")
    (tmp_path / "notes.txt").write_text("")
    assert main(["records", "check", "--json", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert (report["records"], report["older"], report["outputs"], report["recomputed"]) == (2, 0, 2, 4)
    names = [f"{wrong.id}.json", "array.json", "half.json"]
    assert [Path(item["file"]).name for item in report["problems"]] == names
    assert [Path(item["file"]).name for item in report["warnings"]] == ["notes.txt"]
    lines = err.splitlines()
    assert [line.split(": ")[1].rpartition("/")[2] for line in lines] == names
    assert "\x1b" not in err


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path: Path, capsys: Capture) -> None:
    for verb in ("check", "query --store", "publish"):
        assert main(["records", *verb.split(), str(tmp_path / "absent"), *(["x"] if verb == "publish" else [])]) == 2
        assert "no such folder of records" in capsys.readouterr().err


def test_the_printed_schema_accepts_a_written_record(
    tmp_path: Path, append_sound_record: Append, capsys: Capture
) -> None:
    record = append_sound_record(tmp_path)
    assert main(["records", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(schema).validate(json.loads((tmp_path / f"{record.id}.json").read_text()))


class TestQuery:
    @pytest.fixture(autouse=True)
    def _needs_duckdb(self) -> None:
        pytest.importorskip("duckdb")

    def test_an_answer_is_a_table_json_or_csv(
        self, tmp_path: Path, append_sound_record: Append, capsys: Capture
    ) -> None:
        record = append_sound_record(tmp_path, status="nan", error="a,\x1b[31m\u202e\n", quality=[], outputs=None)
        arguments = ["records", "query", "--store", str(tmp_path), "SELECT record, seed, error, steps FROM records"]
        assert main(arguments) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["record", "seed", "error", "steps"]
        assert lines[1].split() == [record.id, "1", "a,\\x1b[31m\\u202e\\n", "-"]
        assert main([*arguments, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == [
            {"record": record.id, "seed": 1, "error": "a,\x1b[31m\u202e\n", "steps": None}
        ]
        assert main([*arguments, "--csv"]) == 0
        rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
        assert rows == [["record", "seed", "error", "steps"], [record.id, "1", "a,\x1b[31m\u202e\n", ""]]

    def test_without_sql_the_views_are_listed(
        self, tmp_path: Path, append_sound_record: Append, capsys: Capture
    ) -> None:
        append_sound_record(tmp_path)
        assert main(["records", "query", "--store", str(tmp_path)]) == 0
        out = capsys.readouterr().out
        heads = [line.partition(":")[0] for line in out.splitlines() if not line.startswith(" ")]
        assert heads == [
            "records",
            "quality",
            "performance",
            "throughput",
            "curve",
            "gradient_curve",
            "probes",
            "probe_curve",
            "probe_series",
            "examples",
        ]
        assert "score.bleu DOUBLE" in out

    def test_the_question_that_the_help_shows_can_be_asked(
        self, tmp_path: Path, append_sound_record: Append, capsys: Capture
    ) -> None:
        record = append_sound_record(tmp_path)
        assert main(["records", "query", "--help"]) == 0
        shown = " ".join(capsys.readouterr().out.split()).partition('zoo records query "')[2].partition('"')[0]
        assert shown.startswith("SELECT")
        assert main(["records", "query", "--store", str(tmp_path), "--json", shown]) == 0
        assert [row["name"] for row in json.loads(capsys.readouterr().out)] == [record.name]

    def test_a_mistake_in_sql_is_one_line_with_status_2(
        self, tmp_path: Path, append_sound_record: Append, capsys: Capture
    ) -> None:
        append_sound_record(tmp_path)
        assert main(["records", "query", "--store", str(tmp_path), "SELECT * FROM record"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.splitlines() == [
            "zoo: SQL: no view 'record': did you mean 'records'? "
            "(known: curve, examples, gradient_curve, performance, probe_curve, probe_series, probes, quality, "
            "records, throughput)"
        ]
        assert main(["records", "query", "--store", str(tmp_path), "--json", "--csv"]) == 2

    def test_a_file_that_cannot_be_read_is_named_beside_the_answer(self, tmp_path: Path, capsys: Capture) -> None:
        (tmp_path / "half.json").write_text("{")
        assert main(["records", "query", "--store", str(tmp_path), "SELECT count(*) FROM records"]) == 0
        out, err = capsys.readouterr()
        assert out.splitlines()[1] == "0"
        assert err.startswith(f"zoo: left out {tmp_path / 'half.json'}: ")


def test_without_duckdb_a_query_says_how_to_install_it(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert main(["records", "query", "--store", str(tmp_path), "SELECT 1"]) == 1
    assert capsys.readouterr().err == "zoo: queries need DuckDB: pip install 'zoo-registry[bench]'\n"


class TestPublish:
    def test_it_says_what_it_did(self, tmp_path: Path, append_sound_record: Append, capsys: Capture) -> None:
        own, shared = tmp_path / "own", tmp_path / "shared"
        good = append_sound_record(own, environment={"host": "anna-laptop"})
        failed = append_sound_record(own, seed=2, status="infra", error="disk", quality=[], outputs=None)
        assert main(["records", "publish", str(own), str(shared)]) == 0
        assert capsys.readouterr().out == f"1 records published in {shared} without texts, 1 unfinished left out\n"
        assert main(["records", "publish", "--json", str(own), str(shared)]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "published": [],
            "present": [good.id],
            "unfinished": [failed.id],
            "problems": [],
            "warnings": [],
        }
        assert main(["records", "check", str(shared)]) == 0
        assert capsys.readouterr().err == ""

    def test_what_is_not_published_is_named_with_status_2(
        self, tmp_path: Path, append_sound_record: Append, capsys: Capture
    ) -> None:
        own, shared = tmp_path / "own", tmp_path / "shared"
        append_sound_record(own)
        wrong = append_sound_record(own, seed=2, spec_hash="sha256:0")
        assert main(["records", "publish", str(own), str(shared), "--with-text"]) == 2
        out, err = capsys.readouterr()
        assert out.startswith("1 records published")
        assert err.startswith(f"zoo: {own / wrong.id}.json: spec_hash: ")
        assert RecordStore(shared).read().records[0].samples


def test_the_verbs_need_no_torch(tmp_path: Path, append_sound_record: Append) -> None:
    append_sound_record(tmp_path / "own")
    code = (
        "import sys; from zoo.cli.main import main\n"
        f"for verb in (['check', {str(tmp_path / 'own')!r}], ['schema'],\n"
        f"             ['publish', {str(tmp_path / 'own')!r}, {str(tmp_path / 'to')!r}]):\n"
        "    assert main(['records', *verb]) == 0\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
