"""Every claim of a record that the files can prove or refute."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zoo.bench import Record
from zoo.bench.outputs import outputs_file, read_outputs, write_outputs
from zoo.bench.soundness import check_store, contradictions

Append = Callable[..., Record]


def rewrite(folder: Path, record: Record, change: Callable[[dict[str, Any]], None]) -> None:
    """Put a changed document in the place of a record, as someone with an editor would."""
    path = folder / f"{record.id}.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def found(folder: Path) -> list[str]:
    return [f"{problem.path.name}: {problem.message}" for problem in check_store(folder).problems]


def test_a_store_as_the_bench_writes_it_holds(tmp_path: Path, append_sound_record: Append) -> None:
    append_sound_record(tmp_path, seed=1)
    append_sound_record(tmp_path, seed=2, text=False)
    append_sound_record(tmp_path, job="copy", performance=[])
    report = check_store(tmp_path)
    assert report.problems == ()
    assert report.warnings == ()
    assert (report.records, report.outputs, report.recomputed) == (3, 3, 6)


def times(values: Iterable[int], **facts: float) -> dict[str, Any]:
    taken = [float(value) for value in values]
    ends = {"minimum": min(taken), "maximum": max(taken)}
    return {"unit": "s", "samples": len(taken), "values": taken, **ends, **facts}


def test_percentiles_that_the_values_give_are_no_problem(tmp_path: Path, append_sound_record: Append) -> None:
    record = append_sound_record(tmp_path)
    honest = times(range(1, 1002), median=501.0, p90=901.0, p99=991.0)
    rewrite(tmp_path, record, lambda document: document["performance"][0].update(latency=honest))
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda r: r.update(error="slow"), "status ok with an error"),
        (lambda r: r.update(status="nan"), "status nan without an error"),
        (lambda r: r.update(status="nan", error="a\nb"), "one line"),
        (lambda r: r.update(created="yesterday"), "created: 'yesterday', expected a time"),
        (lambda r: r.update(created="2026-11-23T00:00:00+02:00"), "expected UTC"),
        (lambda r: r.update(name="better"), "name: 'better', but the spec says 'smoke'"),
        (lambda r: r.update(seed=9), "seed: 9, but the spec says 1"),
        (lambda r: r["spec"]["training"].update(steps=1), "spec_hash: "),
        (lambda r: r.update(hardware="cuda: Faster"), "hardware class give"),
        (lambda r: r["distributions"].update({"zoo-blocks": "9.9"}), "one of them was changed"),
        (lambda r: r["quality"][0].update(interval=[60.0, 40.0]), "ends (40.0) before it begins (60.0)"),
        (lambda r: r["quality"][1].update(interval=[0.0, 1.0]), "outside its interval [0.0, 1.0]"),
        (lambda r: r["quality"][0].update(value=99.0, interval=None), "the examples give"),
        (lambda r: r["quality"][0].update(signature="other"), "metric, signature, split and examples are"),
        (lambda r: r["quality"].pop(), "metric, signature, split and examples are"),
        (lambda r: r["performance"][0]["latency"].update(median=0.2), "median 0.2, but the values give 0.3125"),
        (lambda r: r["performance"][0]["latency"].update(minimum=0.2), "minimum 0.2, but the values give 0.125"),
        (lambda r: r["performance"][0]["latency"].update(median=0.6), "the median 0.6 lies outside [0.125, 0.5]"),
        (lambda r: r["performance"][0]["latency"].update(p90=0.4), "a 90th percentile of 4 samples"),
        (lambda r: r["performance"][0]["latency"].update(samples=5), "4 values, but 5 samples"),
        (
            lambda r: r["performance"][0]["latency"].update(processes=[0.1, 0.525]),
            "median of process 1 0.1, but the values give 0.1875",
        ),
        (
            lambda r: r["performance"][0]["latency"].update(processes=[0.3125] * 3),
            "4 values of 3 processes, which take equally many each",
        ),
        (
            lambda r: r["performance"][0].update(latency=times(range(1, 102), median=51.0, p90=90.0)),
            "p90 90.0, but the values give 91.0",  # of 1 to 101, by the definition
        ),
        (lambda r: r["performance"][0]["throughput"][1].update(status="ok"), "batch 64 has status ok and None tokens"),
        (
            lambda r: r["probe_series"]["shares.by_layer"]["lines"]["one"].pop(),
            "probe_series.shares.by_layer: the line 'one' has 1 values for 2 places",
        ),
        (lambda r: r["outputs"].update(sha256="0" * 64), "its sha256 is another"),
        (lambda r: r["outputs"].update(examples=6), "5 examples, where the record has 6"),
        (lambda r: r["outputs"].update(text=False), "texts are there, against"),
        (lambda r: r["outputs"].update(file="another.outputs.parquet"), "the file 'another.outputs.parquet', expected"),
        (lambda r: r.update(unknown=1), "unknown: Extra inputs"),
    ],
)
def test_a_claim_that_does_not_hold_is_named(
    tmp_path: Path, append_sound_record: Append, change: Callable[[dict[str, Any]], None], expected: str
) -> None:
    record = append_sound_record(tmp_path)
    rewrite(tmp_path, record, change)
    assert any(expected in line and line.startswith(record.id) for line in found(tmp_path)), found(tmp_path)


def test_what_writes_no_tokens_is_fast_by_its_outputs_alone(tmp_path: Path, append_sound_record: Append) -> None:
    record = append_sound_record(tmp_path)
    rate = record.performance[0].throughput[0]
    assert (rate.status, rate.tokens_per_second is None) == ("ok", False)
    without = {"tokens_per_second": None}
    rewrite(
        tmp_path, record, lambda r: r["performance"][0]["throughput"][0].update(**without, sentences_per_second=17.2)
    )
    assert not any("throughput" in line for line in found(tmp_path))
    rewrite(tmp_path, record, lambda r: r["performance"][0]["throughput"][0].update(**without, status="oom"))
    assert any("has status oom and 17.2 outputs a second" in line for line in found(tmp_path))


def test_items_that_do_not_give_the_score_are_named_however_well_the_hash_fits(
    tmp_path: Path, append_sound_record: Append
) -> None:
    record = append_sound_record(tmp_path)
    outputs = read_outputs(tmp_path, record)
    first, *others = outputs.metrics
    better = replace(first, items=(*first.items[:3], first.items[0], first.items[4]))
    outputs = replace(outputs, metrics=(better, *others))
    path = tmp_path / f"{record.id}.outputs.parquet"
    write_outputs(path, outputs)
    rewrite(tmp_path, record, lambda document: document.update(outputs=outputs_file(path).model_dump()))
    (line,) = found(tmp_path)
    assert f"the record says {record.quality[0].value}" in line


def test_a_metric_that_is_not_installed_is_a_warning_and_not_a_verdict(
    tmp_path: Path, append_sound_record: Append
) -> None:
    record = append_sound_record(tmp_path)
    outputs = read_outputs(tmp_path, record)
    outputs.metrics[0].component["use"] = "zoo-elsewhere/bleu"
    path = tmp_path / f"{record.id}.outputs.parquet"
    write_outputs(path, outputs)
    rewrite(tmp_path, record, lambda document: document.update(outputs=outputs_file(path).model_dump()))
    report = check_store(tmp_path)
    assert report.problems == ()
    assert report.recomputed == len(record.quality) - 1
    (warning,) = report.warnings
    assert "1 scores were not computed again: the metric 'zoo-elsewhere/bleu' cannot be loaded here" in str(warning)


def test_missing_and_damaged_outputs_are_named(tmp_path: Path, append_sound_record: Append) -> None:
    gone, cut = append_sound_record(tmp_path, seed=1), append_sound_record(tmp_path, seed=2)
    (tmp_path / f"{gone.id}.outputs.parquet").unlink()
    path = tmp_path / f"{cut.id}.outputs.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert found(tmp_path) == [
        f"{gone.id}.outputs.parquet: No such file or directory",
        f"{cut.id}.outputs.parquet: not the file that record {cut.id} names (its sha256 is another)",
    ]


def test_files_that_belong_to_no_record_are_warned_of(tmp_path: Path, append_sound_record: Append) -> None:
    record = append_sound_record(tmp_path)
    (tmp_path / f"{record.id}.json").unlink()
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".tmp-abc").write_text("")
    (tmp_path / "README.md").write_text("")
    (tmp_path / ".gitkeep").write_text("")
    report = check_store(tmp_path)
    assert report.problems == ()
    assert {warning.path.name: warning.message for warning in report.warnings} == {
        ".tmp-abc": "left by a writer that was killed, or is at work",
        "notes.txt": "neither a record nor its outputs",
        f"{record.id}.outputs.parquet": "outputs without their record: a writer was killed between the two",
    }


def test_a_link_that_leads_nowhere_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "record-1.json").symlink_to(tmp_path / "nowhere")
    assert found(tmp_path) == ["record-1.json: a link that leads nowhere"]


def test_records_that_name_their_machine_are_warned_of_once(tmp_path: Path, append_sound_record: Append) -> None:
    for seed in (1, 2, 3):
        append_sound_record(tmp_path, seed=seed, environment={"host": "anna-laptop"} if seed > 1 else {})
    (warning,) = check_store(tmp_path).warnings
    assert warning.message.startswith("2 records name their machine or its folders: 'zoo records publish'")


def test_what_an_older_record_does_not_tell_is_not_held_against_it(append_sound_record: Append, tmp_path: Path) -> None:
    record = append_sound_record(tmp_path)
    assert list(contradictions(record.model_copy(update={"hardware": None}))) == []
    copy = append_sound_record(tmp_path, job="copy")
    assert list(contradictions(copy.model_copy(update={"spec": {}}))) == []
    assert list(contradictions(copy.model_copy(update={"data_revision": "sha256:8"})))


def test_the_records_that_are_committed_hold() -> None:
    report = check_store(Path(__file__).parents[2] / "leaderboard" / "records")
    assert report.problems == ()
