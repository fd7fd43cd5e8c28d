from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.bench import RecordStore
from zoo.bench.outcome import Outcome
from zoo.bench.outputs import (
    MetricOutputs,
    Outputs,
    outputs_file,
    outputs_of,
    publish_outputs,
    read_outputs,
    read_outputs_file,
    write_outputs,
)
from zoo.bench.run import Runner
from zoo.bench.work import WorkFolder
from zoo.errors import ZooError
from zoo.measure.evaluate import score_outputs
from zoo.spec import Spec
from zoo.tasks import DataHome, Example
from zoo.testing.in_process import cells_in_this_process


def some_metric(name: str, items: list[list[float]], scores: list[float]) -> MetricOutputs:
    return MetricOutputs(
        metric=name,
        signature=f"{name}|version:1",
        direction="lower",
        unit="points",
        component={"use": f"somewhere/{name}", "beta": 2, "deep": {"list": [1, None]}},
        items=tuple(np.array(item, dtype=np.float64) for item in items),
        scores=np.array(scores, dtype=np.float64),
    )


def some_outputs(**changes: Any) -> Outputs:
    facts: dict[str, Any] = {
        "split": "test",
        "data_revision": "sha256:7",
        "ids": ("a", "b", "c"),
        "sources": ("eins", "", "drei\n3"),
        "references": ("one", "two", "three"),
        "outputs": ("", "two", "文件 \u202e<b>"),
        "metrics": (
            some_metric("ter", [[1, 2], [], [3.5]], [0.1, math.nan, -0.0]),
            some_metric("cer", [[1], [2], [3]], [1, 2, 3]),
            some_metric("ter", [[], [], []], [1e300, 5e-324, 1 / 3]),
        ),
    }
    return Outputs(**{**facts, **changes})


def assert_equal(found: Outputs, expected: Outputs) -> None:
    def plain(outputs: Outputs) -> dict[str, Any]:
        fields = {field.name: getattr(outputs, field.name) for field in dataclasses.fields(outputs)}
        fields["metrics"] = [
            {**vars(metric), "items": [item.tolist() for item in metric.items], "scores": metric.scores.tolist()}
            for metric in outputs.metrics
        ]
        return fields

    assert repr(plain(found)) == repr(plain(expected))  # nan stands for nan


@pytest.fixture
def published(tmp_path: Path, make_record: Any) -> Any:
    """A record with its outputs in `tmp_path`."""
    work = tmp_path / "work" / "outputs.parquet"
    write_outputs(work, some_outputs())
    record = make_record()
    return record.model_copy(update={"outputs": publish_outputs(work, tmp_path, record.id)})


def test_what_was_published_is_read_back(tmp_path: Path, published: Any) -> None:
    assert published.outputs.file == f"{published.id}.outputs.parquet"
    assert (published.outputs.examples, published.outputs.text) == (3, True)
    assert_equal(read_outputs(tmp_path, published), some_outputs(record=published.id))


def test_anyone_can_read_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    write_outputs(path, some_outputs())
    table = pq.read_table(path)
    assert table.schema.names == [
        *("id", "source", "reference", "output"),
        *("items.ter", "score.ter", "items.cer", "score.cer", "items.ter.2", "score.ter.2"),
    ]
    assert table.column("items.ter").to_pylist() == [[1.0, 2.0], [], [3.5]]
    assert table.column("score.ter").to_pylist() == [0.1, None, -0.0]
    facts = json.loads(table.schema.metadata[b"zoo"])
    assert (facts["schema"], facts["record"], facts["split"]) == ("zoo.outputs/1", None, "test")
    assert [column["column"] for column in facts["metrics"]] == ["ter", "cer", "ter.2"]
    assert facts["metrics"][2]["component"]["use"] == "somewhere/ter"
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_scores_alone_leave_no_text_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    outputs = some_outputs(sources=None, references=None, outputs=None)
    write_outputs(path, outputs)
    assert not outputs_file(path).text
    assert_equal(read_outputs_file(path), outputs)
    for word in ("eins", "three", "文件"):
        assert word.encode() not in path.read_bytes()


numbers = st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=50)
@given(rows=st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.lists(numbers), st.none() | numbers)))
def test_any_texts_and_numbers_survive_and_give_the_same_bytes_again(
    tmp_path_factory: pytest.TempPathFactory, rows: Any
) -> None:
    folder = tmp_path_factory.mktemp("outputs")
    texts = tuple(text for text, _, _ in rows)
    scores = [math.nan if score is None else score for _, _, score in rows]
    outputs = some_outputs(
        ids=texts,
        sources=texts or None,
        references=texts or None,
        outputs=texts or None,
        metrics=(some_metric("m", [items for _, items, _ in rows], scores),),
    )
    write_outputs(folder / "one", outputs)
    write_outputs(folder / "two", outputs)
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    found = read_outputs_file(folder / "one")
    if rows:
        assert_equal(found, outputs)


@pytest.mark.parametrize("damage", ["cut short", "one bit", "absent", "a folder", "a pipe"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, published: Any, damage: str) -> None:
    path = tmp_path / published.outputs.file
    data = bytearray(path.read_bytes())
    if damage == "cut short":
        path.write_bytes(data[:-9])
    elif damage == "one bit":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        path.unlink()
        if damage == "a folder":
            path.mkdir()
        elif damage == "a pipe":
            os.mkfifo(path)
    with pytest.raises(ZooError, match=published.outputs.file):
        read_outputs(tmp_path, published)


def test_other_scores_under_the_records_name_are_refused(tmp_path: Path, published: Any) -> None:
    better = some_outputs(record=published.id, outputs=("one", "two", "three"))
    write_outputs(tmp_path / published.outputs.file, better)
    with pytest.raises(ZooError, match="not the file that record .* names"):
        read_outputs(tmp_path, published)


def changed(table: Any, change: str) -> Any:
    facts = json.loads(table.schema.metadata[b"zoo"])
    if change == "no metadata":
        return table.replace_schema_metadata(None)
    if change == "another schema":
        facts["schema"] = "zoo.outputs/9"
    elif change == "another record":
        facts["record"] = "somebody-elses"
    elif change == "metadata that are not ours":
        facts = ["a"]
    elif change == "a column less":
        return table.drop_columns(["items.cer"])
    elif change == "a column of another type":
        return table.set_column(5, "score.ter", pa.array(["1", "2", "3"]))
    elif change == "a row more":
        return pa.concat_tables([table, table.slice(0, 1)])
    elif change == "an example without id":
        return table.set_column(0, "id", pa.array(["a", None, "c"]))
    elif change == "half of the texts":
        return table.set_column(3, "output", pa.array(["a", None, "c"]))
    elif change == "no items":
        return table.set_column(4, "items.ter", pa.array([[1.0], None, [2.0]], pa.list_(pa.float64())))
    elif change == "an item that is null":
        return table.set_column(4, "items.ter", pa.array([[1.0], [None], [2.0]], pa.list_(pa.float64())))
    return table.replace_schema_metadata({b"zoo": json.dumps(facts)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("no metadata", "no outputs of zoo"),
        ("another schema", "metadata: schema"),
        ("another record", "the outputs of record 'somebody-elses'"),
        ("metadata that are not ours", "metadata"),
        ("a column less", "columns id, .*expected id"),
        ("a column of another type", "columns .*expected"),
        ("a row more", "4 examples, where the record has 3"),
        ("an example without id", "column 'id' holds null"),
        ("half of the texts", "texts of some examples only"),
        ("no items", "column 'items.ter' holds null"),
        ("an item that is null", "column 'items.ter' holds null"),
    ],
)
def test_a_file_that_is_whole_but_not_as_it_should_be_is_refused(
    tmp_path: Path, published: Any, change: str, said: str
) -> None:
    path = tmp_path / published.outputs.file
    pq.write_table(changed(pq.read_table(path), change), path)
    # As an author would who writes records by hand: the hash is right, the file is not.
    file = published.outputs.model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    with pytest.raises(ZooError, match=said) as caught:
        read_outputs(tmp_path, published.model_copy(update={"outputs": file}))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_record_without_outputs_says_so(tmp_path: Path, make_record: Any) -> None:
    with pytest.raises(ZooError, match="has no per-example outputs"):
        read_outputs(tmp_path, make_record())


def test_columns_of_unequal_length_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 3 entries"):
        write_outputs(tmp_path / "x", some_outputs(metrics=(some_metric("m", [[1], [2]], [1, 2]),)))
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path, published: Any) -> None:
    before = (tmp_path / published.outputs.file).read_bytes()
    with pytest.raises(FileExistsError):
        publish_outputs(tmp_path / "work" / "outputs.parquet", tmp_path, published.id)
    assert (tmp_path / published.outputs.file).read_bytes() == before


def test_outputs_are_read_and_written_without_torch() -> None:
    code = "import sys, zoo.bench.outputs; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


EXAMPLES = [Example(f"e{number}", f"quelle {number}", f"source {number}") for number in range(5)]


def test_nothing_needs_to_be_scored_again(tmp_path: Path, small_spec: Any) -> None:
    spec: Spec = small_spec("evaluation.metrics=[bleu, chrf, {use: chrf, word_order: 2}]")
    evaluation = score_outputs(["source 0", "x", "source", "", "source 4"], EXAMPLES, spec)
    path = tmp_path / "outputs.parquet"
    write_outputs(path, outputs_of(evaluation, data_revision="r", text=True))
    found = read_outputs_file(path)
    assert found.outputs is not None
    assert found.ids == tuple(example.id for example in EXAMPLES)
    for metric, kept, score in zip(spec.evaluation.metrics, found.metrics, evaluation.quality, strict=True):
        assert kept.component == metric.plain()
        again = metric.create().score_items(kept.items)
        assert again == score
        single = [
            metric.create().score([o], [e.target], [e.source]) for o, e in zip(found.outputs, EXAMPLES, strict=True)
        ]
        assert kept.scores.tolist() == pytest.approx([one.value for one in single])


# The way from the cell's process to the store


def runner_with_outcome(tmp_path: Path, spec: Spec, outputs: Outputs) -> tuple[Runner, WorkFolder]:
    """A runner whose cell's process has just ended well."""
    runner = Runner(RecordStore(tmp_path / "records"), home=DataHome(tmp_path / "home"), work=tmp_path / "work")
    folder = WorkFolder(tmp_path / "work" / runner._cell(spec).key[:24])
    folder.path.mkdir(parents=True)
    write_outputs(folder.outputs, outputs)
    folder.write_outcome(Outcome(status="ok", outputs=outputs_file(folder.outputs)))
    return runner, folder


def test_the_runner_puts_the_outputs_beside_the_record(tmp_path: Path, small_spec: Any) -> None:
    runner, folder = runner_with_outcome(tmp_path, small_spec(), some_outputs())
    record = runner.run(small_spec()).record
    assert runner.store.read().records == (record,)
    assert_equal(read_outputs(runner.store.folder, record), some_outputs(record=record.id))
    assert not folder.outputs.exists()


def test_a_writer_killed_between_outputs_and_record_leaves_a_file_that_nobody_reads(
    tmp_path: Path, small_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, _ = runner_with_outcome(tmp_path, small_spec(), some_outputs())

    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RecordStore, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            runner.run(small_spec())
    assert len(list(runner.store.folder.iterdir())) == 1
    reading = runner.store.read()
    assert (reading.records, reading.problems) == ((), ())

    record = runner.run(small_spec()).record  # the outcome was still there
    assert runner.store.read().records == (record,)
    assert read_outputs(runner.store.folder, record).record == record.id


def test_an_outcome_whose_outputs_are_damaged_is_none(tmp_path: Path, small_spec: Any) -> None:
    _, folder = runner_with_outcome(tmp_path, small_spec(), some_outputs())
    assert folder.read_outcome() is not None
    folder.outputs.write_bytes(folder.outputs.read_bytes()[:-1])
    assert folder.read_outcome() is None
    folder.drop_outcome()
    assert not folder.outputs.exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("keep", ["text", "scores"])
def test_a_real_cell_keeps_what_its_spec_says_and_controls_are_run_once_for_a_board(
    tmp_path: Path, small_spec: Any, keep: str
) -> None:
    """Cells in processes of their own, with text and controls, are those of test_pytest_plugin."""
    sets = (
        f"evaluation.keep={keep}",
        "evaluation.metrics=[bleu, chrf, ter, cer, {use: chrf, word_order: 2}, exact-match]",
    )
    spec: Spec = small_spec(*sets)
    runner = Runner(RecordStore(tmp_path / "records"), home=DataHome(tmp_path / "home"), work=tmp_path / "work")
    with cells_in_this_process():
        controls = runner.run_baselines(spec)
    copied, untrained = (result.record for result in controls)
    assert [(record.name, record.role, record.status) for record in (copied, untrained)] == [
        ("copy", "baseline", "ok"),
        ("untrained", "baseline", "ok"),
    ]
    assert not any(result.cached for result in controls)
    assert set(copied.spec) == {"task", "tokenizer", "decoding", "evaluation"}
    assert untrained.spec["training"]["steps"] == 0
    other = small_spec(*sets, "model.position=rotary", "name=other")
    assert all(result.cached for result in runner.run_baselines(other))
    examples = spec.task.create().prepare(runner.home).examples("test")[:12]
    for record in (copied, untrained):
        found = read_outputs(runner.store.folder, record)
        assert found.ids == tuple(example.id for example in examples)
        assert (found.split, found.data_revision) == ("test", record.data_revision)
        assert (record.samples != []) == (keep == "text")
        assert [quality.metric for quality in record.quality] == ["bleu", "chrf", "ter", "cer", "chrf", "exact-match"]
        assert [quality.direction for quality in record.quality][2:4] == ["lower", "lower"]
        for chosen, metric, quality in zip(spec.evaluation.metrics, found.metrics, record.quality, strict=True):
            again = chosen.create().score_items(metric.items)
            assert (again.value, again.interval, again.signature) == (
                quality.value,
                quality.interval,
                quality.signature,
            )
    texts = [example.source for example in examples]
    found = read_outputs(runner.store.folder, copied)
    if keep == "text":
        assert (found.sources, found.outputs) == (tuple(texts), tuple(texts))
    else:
        assert (found.sources, found.references, found.outputs) == (None, None, None)
        for path in runner.store.folder.iterdir():
            assert not any(text.encode() in path.read_bytes() for text in texts)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_metric_that_lacks_what_it_needs_is_found_out_before_training(tmp_path: Path, small_spec: Any) -> None:
    spec: Spec = small_spec(
        f"evaluation.metrics=[{{use: comet, model: {tmp_path / 'absent'}}}]", "training.steps=1000000"
    )
    runner = Runner(
        RecordStore(tmp_path / "records"), home=DataHome(tmp_path / "home"), work=tmp_path / "work", retries=0
    )
    with cells_in_this_process():
        record = runner.run(spec).record
    assert (record.status, record.steps) == ("infra", None)
    assert "COMET" in str(record.error)
