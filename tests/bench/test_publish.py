from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from zoo.bench import Record, RecordStore
from zoo.bench.outputs import read_outputs
from zoo.bench.publish import Publication, names_the_machine, publish, publishable
from zoo.bench.soundness import check_store, contradictions
from zoo.errors import InputError

Append = Callable[..., Record]
HOME = "/home/anna/zoo/.zoo/cells/1f/run"


def published(source: Path, target: Path, with_text: bool = False) -> Publication:
    return publish(source, target, with_text=with_text, check=contradictions)


@pytest.fixture
def source(tmp_path: Path, append_sound_record: Append) -> Path:
    """Two results and a failure of the machine, on a host whose name and folders are in the environment."""
    folder = tmp_path / "own"
    facts = {"host": "anna-laptop", "cpu": "Some CPU", "store": HOME, "nested": {"said": [f"on anna-laptop: {HOME}"]}}
    append_sound_record(folder, seed=1, environment=facts)
    append_sound_record(folder, seed=2, status="nan", error=f"loss at {HOME}/log.txt", quality=[], outputs=None)
    append_sound_record(folder, seed=3, status="infra", error="disk gone", quality=[], outputs=None)
    return folder


def test_scores_are_published_and_texts_names_and_folders_are_not(source: Path, tmp_path: Path) -> None:
    done = published(source, tmp_path / "shared")
    before = {record.id: record for record in RecordStore(source).read().records}
    after = RecordStore(tmp_path / "shared").read().records
    assert [record.id for record in after] == list(done.published) == sorted(before)[:2]
    assert done.unfinished == (sorted(before)[2],)
    everything = "".join(path.read_text() for path in (tmp_path / "shared").glob("*.json"))
    assert "anna" not in everything
    good = after[0]
    assert good.samples == []
    assert good.environment["nested"] == {"said": ["on (host): .../run"]}
    assert good.environment["cpu"] == "Some CPU"
    assert good.environment["published"] == {
        "left_out": ["environment.host", "environment.nested.said", "environment.store", "outputs.text", "samples"]
    }
    assert after[1].error == "loss at .../log.txt"
    kept = {"environment", "samples", "outputs", "error"}
    for record in after:
        assert record.model_dump(exclude=kept) == before[record.id].model_dump(exclude=kept)
    outputs, full = read_outputs(tmp_path / "shared", good), read_outputs(source, before[good.id])
    assert outputs.outputs is outputs.sources is outputs.references is None
    assert outputs.ids == full.ids
    assert [metric.scores.tolist() for metric in outputs.metrics] == [metric.scores.tolist() for metric in full.metrics]
    assert pq.read_table(tmp_path / "shared" / good.outputs.file).column("output").null_count == len(full.ids)


def test_programs_that_ran_beside_are_counted_but_not_named(tmp_path: Path, append_sound_record: Append) -> None:
    beside = {"other_processes": [{"name": "secret-project", "pid": 4711, "cores": 0.5}]}
    facts = {"cpu_state": {"before": beside}, "gpus": [{"name": "Some GPU"}]}
    append_sound_record(tmp_path / "own", environment=facts)
    published(tmp_path / "own", tmp_path / "shared")
    (record,) = RecordStore(tmp_path / "shared").read().records
    assert record.environment["cpu_state"] == {"before": {"other_processes": [{"cores": 0.5}]}}
    assert record.environment["gpus"] == [{"name": "Some GPU"}]
    assert check_store(tmp_path / "shared").warnings == ()


def test_what_is_published_passes_the_check_without_a_warning(source: Path, tmp_path: Path) -> None:
    published(source, tmp_path / "shared")
    report = check_store(tmp_path / "shared")
    assert report.problems == ()
    assert report.warnings == ()
    assert report.recomputed == 2


def test_texts_are_published_where_they_are_asked_for(source: Path, tmp_path: Path) -> None:
    published(source, tmp_path / "shared", with_text=True)
    record = RecordStore(tmp_path / "shared").read().records[0]
    assert record.samples
    assert read_outputs(tmp_path / "shared", record).outputs == read_outputs(source, record).outputs
    assert not names_the_machine(record)
    assert check_store(tmp_path / "shared").problems == ()


def test_publishing_again_changes_nothing(source: Path, tmp_path: Path) -> None:
    first = published(source, tmp_path / "shared")
    before = {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()}
    again = published(source, tmp_path / "shared")
    assert (again.published, again.present, again.problems) == ((), first.published, ())
    assert {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()} == before


def test_publishing_what_was_published_changes_no_byte(source: Path, tmp_path: Path) -> None:
    published(source, tmp_path / "shared")
    published(tmp_path / "shared", tmp_path / "further")
    for path in (tmp_path / "shared").iterdir():
        assert (tmp_path / "further" / path.name).read_bytes() == path.read_bytes()


def test_an_id_that_is_taken_by_other_content_is_never_written_over(source: Path, tmp_path: Path) -> None:
    published(source, tmp_path / "shared")
    before = {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()}
    done = published(source, tmp_path / "shared", with_text=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "shared").iterdir()} == before
    assert len(done.problems) == 2
    assert all("has a record of this id with other content" in problem.message for problem in done.problems)


def test_a_killed_publication_is_finished_by_the_next(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "shared"
    target.mkdir()
    # The outputs came, the record did not: what was there is of no record.
    (first, *_) = RecordStore(source).read().records
    (target / first.outputs.file).write_bytes(b"half")
    assert published(source, target).problems == ()
    assert check_store(target).problems == ()


def test_a_record_that_does_not_hold_is_not_published_and_the_rest_is(
    source: Path, tmp_path: Path, append_sound_record: Append
) -> None:
    wrong = append_sound_record(source, seed=4, spec_hash="sha256:0")
    damaged = append_sound_record(source, seed=5)
    (source / f"{damaged.id}.outputs.parquet").write_bytes(b"PAR1")
    (source / "half.json").write_text("{")
    done = published(source, tmp_path / "shared")
    assert len(done.published) == 2
    messages = {problem.path.name: problem.message for problem in done.problems}
    assert set(messages) == {f"{wrong.id}.json", f"{damaged.id}.json", "half.json"}
    assert messages[f"{wrong.id}.json"].startswith("spec_hash: ")
    assert "its sha256 is another" in messages[f"{damaged.id}.json"]
    assert not (tmp_path / "shared" / f"{damaged.id}.json").exists()


def test_a_folder_in_a_spec_stays_and_is_warned_of(tmp_path: Path, make_record: Any) -> None:
    RecordStore(tmp_path / "own").append(make_record(spec={"task": {"files": ["/home/anna/data.zh"]}}))
    done = publish(tmp_path / "own", tmp_path / "shared", check=lambda record: iter(()))
    (warning,) = done.warnings
    assert "the spec names '/home/anna/data.zh'" in warning.message
    assert RecordStore(tmp_path / "shared").read().records[0].spec["task"] == {"files": ["/home/anna/data.zh"]}


@pytest.mark.parametrize(
    "text",
    [
        "Debian GNU/Linux 12",
        "https://example.org/a/b",
        "tokens/s",
        "1/2",
        "cuda: 12.8/9.0",
        "and/or",
        "sacrebleu|nrefs:1|tok:13a",
    ],
)
def test_what_only_looks_like_a_folder_is_kept(make_record: Any, text: str) -> None:
    record = make_record(environment={"text": text})
    assert not names_the_machine(record)
    assert publishable(record, with_text=False).environment["text"] == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/root/zoo/run", ".../run"),
        ("no file '/Users/anna/a b.txt'", "no file '.../a b.txt'"),
        (r"C:\Users\anna\run.log is full", ".../run.log is full"),
        ("see file:///home/anna/x.log", "see file://.../x.log"),
        ("PYTHONPATH=/srv/x/lib:/srv/y/lib", "PYTHONPATH=.../lib:.../lib"),
    ],
)
def test_folders_are_cut_to_their_last_step(make_record: Any, text: str, expected: str) -> None:
    record = publishable(make_record(status="nan", error=text), with_text=False)
    assert record.error == expected


def test_a_store_is_not_published_into_itself_or_a_file(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(InputError, match="into itself"):
        published(source, tmp_path / "link")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: expected a folder, found a file"):
        published(source, tmp_path / "file")
    with pytest.raises(InputError, match="no such folder"):
        published(tmp_path / "absent", tmp_path / "link")


def test_an_older_record_is_published_in_todays_schema(tmp_path: Path, source: Path) -> None:
    record = RecordStore(source).read().records[1]
    document = json.loads((source / f"{record.id}.json").read_text())
    document["schema"] = "zoo.record/1"
    for key in ("hardware", "outputs"):
        del document[key]
    document["performance"] = []
    shutil.rmtree(source)
    source.mkdir()
    (source / f"{record.id}.json").write_text(json.dumps(document))
    assert published(source, tmp_path / "shared").published == (record.id,)
    assert json.loads((tmp_path / "shared" / f"{record.id}.json").read_text())["schema"] == "zoo.record/5"
