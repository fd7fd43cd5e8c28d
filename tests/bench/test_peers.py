"""Peers on record: what makes a cell of one, what its record says, and what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.bench import Record, RecordStore
from zoo.bench.cell import Cell, controls_of, key_of_record
from zoo.bench.compare import ONE_EACH, ONE_MODEL
from zoo.bench.executor import cell_jobs, refused
from zoo.bench.outputs import MetricOutputs, Outputs
from zoo.bench.record import PeerPart, Quality
from zoo.bench.rescoring import metric_of, rescored
from zoo.bench.run import Runner, with_seeds
from zoo.bench.significance import Scored, examine
from zoo.bench.soundness import contradictions
from zoo.bench.standings import MetricKey, standings
from zoo.cli.main import main
from zoo.errors import InputError
from zoo.registry import Component, current_registry, use_registry
from zoo.spec import Spec, spec_hash
from zoo.spec.lock import distributions_now
from zoo.statistics import seeds_by_items
from zoo.tasks.images import Source
from zoo.tasks.peers import Peer, PeerFacts

SmallSpec = Callable[..., Spec]
MakeRecord = Callable[..., Record]
FACTS = PeerFacts("shouting", "1.0", {"capitals.bin": "sha256:" + "0" * 64}, {"numpy": "2.0"}, "int8")


class Shouting(Peer):
    """Gives each text back in capitals."""

    def facts(self) -> PeerFacts:
        return FACTS

    def answer(self, sources: Sequence[Source]) -> list[str]:
        return [str(source).upper() for source in sources]


class Absent(Shouting):
    """Is not installed."""

    def facts(self) -> PeerFacts:
        raise InputError("absent is not installed: apt-get install absent")


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    components = tuple(
        Component(kind="peer", name=name, target=f"{__name__}:{name.capitalize()}", summary="Capitals")
        for name in ("shouting", "absent")
    )
    with use_registry(current_registry().plus("zoo-shouting", "0.1.0", __name__, components)):
        yield


@pytest.fixture
def peer(small_spec: SmallSpec) -> Spec:
    return small_spec("peer=shouting", "name=loud")


def cell_of(spec: Spec, facts: PeerFacts = FACTS) -> Cell:
    return Cell(spec, "sha256:data", "cpu: one (2 threads)", facts)


@pytest.fixture
def record(peer: Spec, make_record: MakeRecord) -> Record:
    """Of the peer, as its runner makes it."""
    cell = cell_of(peer)
    score = {"metric": "chrF", "value": 20.0, "direction": "higher", "unit": "points", "signature": "s"}
    return make_record(
        cell=cell.key,
        name="loud",
        role="peer",
        spec=peer.plain(),
        spec_hash=spec_hash(peer),
        data_revision=cell.data_revision,
        hardware=cell.hardware,
        distributions=distributions_now(peer),
        quality=[Quality(**score, split="test", examples=12)],
        peer=PeerPart(**vars(FACTS)),
    )


def test_another_version_or_model_is_another_cell_and_another_library_is_not(peer: Spec) -> None:
    key = cell_of(peer).key
    for changed in (
        replace(FACTS, version="1.1"),
        replace(FACTS, models={"capitals.bin": "sha256:" + "1" * 64}),
        replace(FACTS, engine="shooting"),
    ):
        assert cell_of(peer, changed).key != key
    assert cell_of(peer, replace(FACTS, libraries={"numpy": "2.1"})).key == key


def test_a_record_says_what_gives_its_key_and_nothing_that_was_not_there(record: Record) -> None:
    assert list(contradictions(record)) == []
    assert key_of_record(record) == record.cell
    assert (record.parameters, record.steps, record.training_seconds, record.training_tokens) == (None,) * 4
    again = Record.model_validate_json(record.model_dump_json(by_alias=True))
    assert again == record
    other = record.model_copy(update={"peer": PeerPart(**vars(replace(FACTS, version="9")))})
    assert any("one of them was changed" in text for text in contradictions(other))
    bare = record.model_copy(update={"peer": None})
    assert any("role peer without what ran" in text for text in contradictions(bare))


def test_a_record_of_a_model_is_written_as_it_was_before_there_were_peers(make_record: MakeRecord) -> None:
    assert "peer" not in make_record().model_dump(mode="json")


def test_a_peer_has_no_controls_and_one_cell_whatever_the_seeds(peer: Spec) -> None:
    assert controls_of(peer) == ()
    assert with_seeds(peer, 5) == [peer]
    (job,) = cell_jobs(with_seeds(peer, 5))
    assert (job.spec, job.job, job.name) == (peer, "model", "loud")


def test_a_peer_that_is_not_installed_is_refused_before_anything_is_prepared(
    small_spec: SmallSpec, tmp_path: Path
) -> None:
    (job,) = cell_jobs([small_spec("peer=absent")])
    (done,) = refused([job], Runner(RecordStore(tmp_path)))
    assert str(done.error) == "absent is not installed: apt-get install absent"
    assert isinstance(done.error, InputError)


def test_several_processes_a_cell_are_of_training_and_change_no_peer(peer: Spec, tmp_path: Path) -> None:
    alone, several = (Runner(RecordStore(tmp_path), processes=count)._keyed(peer, "model")[1] for count in (1, 3))
    assert alone == several


def test_what_a_peer_computes_in_keeps_it_from_no_column(record: Record, make_record: MakeRecord) -> None:
    def measured(dtype: str, threads: int = 2) -> list[dict[str, Any]]:
        return [{"device": "cpu", "device_kind": "cpu", "threads": threads, "dtype": dtype, "attention": "none"}]

    def columns(role: str, *models: Record) -> list[tuple[int | None, str]]:
        ours = Record.model_validate({**vars(record), "performance": measured("int8")})
        found = next(item for item in standings([ours, *models]) if item.role == role)
        return [(key.threads, key.dtype) for key in found.performance()]

    common = {"task": record.task, "data_revision": record.data_revision}
    half, single = (make_record(**common, name=name, performance=measured(name)) for name in ("bfloat16", "float32"))
    other = make_record(**common, name="other", performance=measured("float32", threads=8))
    assert columns("peer") == [(2, "int8")]
    assert columns("peer", other) == [(2, "int8")]
    assert columns("peer", half) == [(2, "bfloat16")]
    assert columns("peer", half, single) == [(2, "float32")]
    assert columns("model", half) == [(2, "bfloat16")]


METRIC = {"use": "zoo-tasks-text/exact-match"}
KEY = MetricKey("exact", "test", "fraction", "higher", "s", 60)


class Kept:
    """Outputs by record, as a reader of files gives them."""

    def __init__(self) -> None:
        self.outputs: dict[str, Outputs] = {}

    def read(self, scored: Scored) -> Outputs:
        return self.outputs[scored.record.id]


def scored(kept: Kept, record: Record, share: float, seed: int) -> Scored:
    """A system that is right in about that share of 60 examples."""
    right = np.random.default_rng(seed).random(60) < share
    bare = MetricOutputs("exact", "s", "higher", "fraction", METRIC, (), np.zeros(0))
    metric = metric_of(bare)
    items = tuple(metric.items(["yes" if item else "no" for item in right], ["yes"] * 60, ["?"] * 60))
    found = replace(bare, items=items, scores=np.zeros(60))
    ids = tuple(map(str, range(60)))
    kept.outputs[record.id] = Outputs("test", "sha256:1", ids, None, None, None, (found,))
    score = {"metric": "exact", "direction": "higher", "unit": "fraction", "signature": "s", "split": "test"}
    return Scored(record, Path("nowhere"), Quality(**score, examples=60, value=rescored(metric, found)))


def test_against_several_seeds_a_peer_counts_as_seeds_that_do_not_differ(
    record: Record, make_record: MakeRecord
) -> None:
    kept = Kept()
    models = [scored(kept, make_record(seed=seed), 0.8, seed) for seed in (1, 2, 3)]
    peer = scored(kept, record, 0.4, 9)
    found = examine(KEY, models, [peer], kept)  # type: ignore[arg-type]
    metric = metric_of(kept.outputs[record.id].metrics[0])

    def weighted(one: Scored) -> Callable[[Any], Any]:
        items = kept.outputs[one.record.id].metrics[0].items
        return lambda weights: metric.combined(items, weights)

    oracle = seeds_by_items([weighted(one) for one in models], [weighted(peer)] * 3, 60)
    assert found.evidence == "training seeds and test examples"
    assert found.interval == pytest.approx(oracle.interval)
    assert found.p_value == pytest.approx(oracle.p_value)
    assert found.after == (peer.score.value,)
    assert found.notes == ()
    assert found.sign_flip_p_value is None


def test_one_model_and_a_peer_are_compared_on_the_examples(record: Record, make_record: MakeRecord) -> None:
    kept = Kept()
    found = examine(KEY, [scored(kept, make_record(), 0.9, 1)], [scored(kept, record, 0.4, 2)], kept)  # type: ignore[arg-type]
    assert found.evidence == "test examples"
    assert found.p_value is not None
    assert found.p_value < 0.01


def test_a_rate_of_outputs_alone_is_sound_and_none_at_all_is_not(record: Record) -> None:
    part: dict[str, Any] = {"device": "cpu", "device_kind": "cpu", "threads": 2, "dtype": "int8", "attention": "none"}

    def found(rate: dict[str, Any]) -> list[str]:
        measured = {**part, "throughput": [{"batch": 2, **rate}]}
        return list(contradictions(Record.model_validate({**vars(record), "performance": [measured]})))

    assert found({"sentences_per_second": 4.0}) == []
    assert found({"status": "oom"}) == []
    assert len(found({})) == len(found({"status": "oom", "sentences_per_second": 4.0})) == 1


def test_a_comparison_says_that_a_peer_has_no_seeds_and_whose_seed_is_missing(
    peer: Spec, append_sound_record: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = append_sound_record(tmp_path)
    ours = {"role": "peer", "name": "loud", "spec": peer.plain(), "peer": vars(FACTS), "parameters": None}
    append_sound_record(tmp_path, **ours)
    assert main(["bench", "compare", model.name, "loud", "--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "B  loud  generated-qaa-qab  not trained here" in out
    assert ONE_MODEL in out
    assert ONE_EACH not in out
    other = {**ours, "name": "louder"}
    append_sound_record(tmp_path, **other)
    assert main(["bench", "compare", "loud", "louder", "--store", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert ONE_MODEL not in out
    assert ONE_EACH not in out
