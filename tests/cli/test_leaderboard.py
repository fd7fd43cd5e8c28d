"""`zoo leaderboard build` and `serve`."""

from __future__ import annotations

import json
import threading
import urllib.request

import pytest

from zoo.bench.outputs import Outputs, publish_outputs, write_outputs
from zoo.bench.record import Record
from zoo.bench.store import RecordStore
from zoo.cli.main import main
from zoo.errors import InputError, ZooError
from zoo.site.serve import site_server

RECORD = {
    "schema": "zoo.record/5",
    "id": "20261120T090000.000000Z-0123456789",
    "created": "2026-11-20T09:00:00+00:00",
    "cell": "c" * 64,
    "name": "rotary",
    "task": "office-zh-en",
    "status": "ok",
    "seed": 1,
    "spec": {},
    "spec_hash": "sha256:0",
    "data_revision": "sha256:1",
    "distributions": {},
}


@pytest.fixture
def store(tmp_path):
    made = RecordStore(tmp_path / "records")
    made.append(Record.model_validate(RECORD))
    return made


@pytest.fixture
def site(store, tmp_path, capsys):
    assert main(["leaderboard", "build", "--store", str(store.folder), "--out", str(tmp_path / "site")]) == 0
    capsys.readouterr()
    return tmp_path / "site"


def test_build_writes_a_site_and_says_where(store, tmp_path, capsys):
    out = tmp_path / "site"
    assert main(["leaderboard", "build", "--store", str(store.folder), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}/index.html (records: 1, models and baselines: 1, boards: 1)\n"
    assert "rotary" in (out / "index.html").read_text(encoding="utf-8") + "".join(
        path.read_text(encoding="utf-8") for path in (out / "boards").glob("*.html")
    )


def test_build_takes_the_outputs_that_stand_beside_the_records(tmp_path, capsys):
    store = RecordStore(tmp_path / "records")
    store.folder.mkdir()
    outputs = Outputs("test", RECORD["data_revision"], ("x",), ("source",), ("reference",), ("its output",), ())
    write_outputs(tmp_path / "written.parquet", outputs)
    published = publish_outputs(tmp_path / "written.parquet", store.folder, RECORD["id"])
    store.append(Record.model_validate({**RECORD, "outputs": published.model_dump()}))
    arguments = ["leaderboard", "build", "--store", str(store.folder), "--out", str(tmp_path / "site")]
    assert main(arguments) == 0
    (script,) = (tmp_path / "site" / "data").glob("*.outputs.js")
    assert "its output" in script.read_text(encoding="utf-8")

    (store.folder / published.file).unlink()
    assert main(arguments) == 0
    assert f"left out {store.folder / published.file}" in capsys.readouterr().err


def test_build_reports_unreadable_records_as_json_and_builds_the_rest(store, tmp_path, capsys):
    (store.folder / "half.json").write_text("{")
    status = main(["leaderboard", "build", "--store", str(store.folder), "--out", str(tmp_path / "site"), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert status == 0
    assert answer["records"] == 1
    assert [problem["file"] for problem in answer["problems"]] == [str(store.folder / "half.json")]


def test_build_without_a_store_is_the_users_mistake(tmp_path, capsys):
    assert main(["leaderboard", "build", "--store", str(tmp_path / "none"), "--out", str(tmp_path / "site")]) == 2
    assert "no record folder here" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_build_refuses_a_folder_of_somebody_else(store, tmp_path, capsys):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("precious")
    assert main(["leaderboard", "build", "--store", str(store.folder), "--out", str(tmp_path / "home")]) == 2
    assert "thesis.tex" in capsys.readouterr().err


def test_serve_answers_on_this_machine_only(site):
    with site_server(site, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/", timeout=10) as answer:
                assert answer.read() == (site / "index.html").read_bytes()
        finally:
            server.shutdown()
            thread.join()


def test_serve_needs_a_built_site(tmp_path):
    with pytest.raises(InputError, match="run 'zoo leaderboard build' first"):
        site_server(tmp_path, 0)


def test_serve_names_a_port_that_is_taken(site):
    with site_server(site, 0) as server, pytest.raises(ZooError, match="another program has it"):
        site_server(site, server.server_address[1])
