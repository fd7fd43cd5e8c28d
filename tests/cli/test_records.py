from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from zoo.bench import Record, RecordStore
from zoo.cli.main import main


def a_record(name: str) -> Record:
    return Record(
        id=name,
        created="2026-11-23",
        cell="c",
        name="n",
        task="t",
        status="ok",
        seed=1,
        spec={},
        spec_hash="h",
        data_revision="r",
        distributions={},
    )


def test_a_store_of_whole_records_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RecordStore(tmp_path)
    store.append(a_record("record-1"))
    store.append(a_record("record-2"))
    assert main(["records", "check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 records\n"


def test_every_bad_file_is_one_line_and_the_status_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordStore(tmp_path).append(a_record("record-1"))
    (tmp_path / "half.json").write_text('{"schema": ')
    (tmp_path / "array.json").write_text("[]")
    assert main(["records", "check", "--json", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["records"] == 1
    assert [Path(item["file"]).name for item in json.loads(out)["problems"]] == ["array.json", "half.json"]
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"zoo: {tmp_path / 'array.json'}: ")


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["records", "check", str(tmp_path / "absent")]) == 2
    assert "no such folder of records" in capsys.readouterr().err


def test_the_printed_schema_accepts_a_written_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = RecordStore(tmp_path).append(a_record("record-1"))
    assert main(["records", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text()))
