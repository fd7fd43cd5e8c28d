"""Which records count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from zoo.bench.record import Distribution, Performance, Quality, Record
from zoo.bench.standings import Summary, metric_order, moment, standings, training_device


def quality(value, *, metric="BLEU", half_width=1.0, signature="tok:13a", examples=1000):
    return Quality(
        metric=metric,
        value=value,
        direction="higher",
        unit="points",
        signature=signature,
        split="test",
        examples=examples,
        interval=(value - half_width, value + half_width),
    )


def cpu(**changes):
    fields = {
        "device": "cpu",
        "device_kind": "cpu",
        "threads": 2,
        "dtype": "float32",
        "attention": "sdpa",
        "latency": Distribution(unit="s", samples=20, median=0.1, minimum=0.09, maximum=0.14),
        "training_tokens_per_second": 5200.0,
    }
    return Performance(**{**fields, **changes})


def gpu(**changes):
    fields = {"device": "NVIDIA H100 80GB HBM3", "device_kind": "cuda", "dtype": "bfloat16"}
    return cpu(**{**fields, "training_tokens_per_second": None, **changes})


def spec(name, position, seed):
    return {
        "name": name,
        "description": f"A small model with {position} positions.",
        "seed": seed,
        "model": {"position": {"use": f"zoo-positional/{position}"}},
        "training": {"steps": 1200},
    }


@pytest.fixture
def part():
    """Makers of the parts of a record."""
    return SimpleNamespace(quality=quality, cpu=cpu, gpu=gpu, spec=spec)


@pytest.fixture
def make_record():
    """``make_record(name="rotary", minute=3, ...)``: a good record on one CPU; every field can be given."""
    made = 0

    def make(**changes):
        nonlocal made
        made += 1
        name, seed = changes.get("name", "rotary"), changes.get("seed", 1)
        created = datetime(2026, 11, 20, 9, 0, tzinfo=UTC) + timedelta(minutes=changes.pop("minute", made))
        fields = {
            "id": f"{created:%Y%m%dT%H%M%S}.000000Z-{made:010x}",
            "created": created.isoformat(),
            "cell": f"cell-{name}-{seed}",
            "name": name,
            "task": "office-zh-en",
            "status": "ok",
            "seed": seed,
            "spec": spec(name, "rotary", seed),
            "spec_hash": f"sha256:{made:064x}",
            "data_revision": "sha256:" + "ab" * 32,
            "distributions": {"zoo-registry": "0.1.0"},
            "quality": [quality(20.0)],
            "performance": [cpu()],
            "environment": {"cpu": "Processor A"},
        }
        return Record(**{**fields, **changes})

    return make


def only(records):
    (standing,) = standings(records)
    return standing


def test_of_each_seed_the_newest_good_record_counts(make_record, part):
    old = make_record(minute=1, quality=[part.quality(10.0)])
    new = make_record(minute=2, quality=[part.quality(12.0)])
    other_seed = make_record(minute=0, seed=2, quality=[part.quality(16.0)])
    standing = only([new, other_seed, old])
    assert standing.counted == (new, other_seed)
    (summary,) = standing.quality().values()
    assert (summary.mean, summary.low, summary.high, summary.seeds) == (14.0, 12.0, 16.0, 2)


def test_the_interval_over_seeds_covers_every_seeds_interval(make_record, part):
    standing = only([make_record(seed=s, quality=[part.quality(v, half_width=2.0)]) for s, v in ((1, 10.0), (2, 13.0))])
    (summary,) = standing.quality().values()
    assert summary.interval == (8.0, 15.0)


def test_a_summary_has_no_interval_where_one_seed_has_none():
    assert Summary((1.0, 2.0), ((0.5, 1.5),)).interval is None


def test_a_later_failure_of_a_finished_cell_does_not_erase_its_result(make_record):
    good = make_record(minute=1)
    make_failed = make_record(minute=2, status="infra", error="the machine went away")
    standing = only([good, make_failed])
    assert standing.status == "ok"
    assert standing.counted == (good,)
    assert standing.failed == ()


def test_a_cell_without_a_good_record_is_listed_with_its_newest_failure(make_record):
    first = make_record(minute=1, status="oom", error="first")
    second = make_record(minute=2, status="oom", error="second", attempt=2)
    standing = only([first, second])
    assert standing.status == "oom"
    assert standing.failed == (second,)
    assert standing.shown == (second,)


def test_a_failed_seed_stays_beside_good_ones(make_record):
    standing = only([make_record(seed=1), make_record(seed=2, status="nan", error="loss is nan at step 40")])
    assert [record.seed for record in standing.counted] == [1]
    assert [record.seed for record in standing.failed] == [2]


def test_a_newer_good_record_of_the_seed_ends_a_failure_of_another_cell(make_record):
    failed = make_record(minute=1, cell="with the old plugin", status="nan", error="nan")
    mended = make_record(minute=2, cell="with the new plugin")
    assert only([failed, mended]).failed == ()
    broken_again = make_record(minute=3, cell="with the newest plugin", status="nan", error="nan")
    assert only([failed, mended, broken_again]).failed == (broken_again,)


def test_records_of_an_earlier_spec_do_not_count(make_record, part):
    changed = {**part.spec("rotary", "rotary", 1), "training": {"steps": 9}}
    old = make_record(minute=1, seed=2, spec=part.spec("rotary", "rotary", 2), quality=[part.quality(50.0)])
    new = make_record(minute=2, spec=changed, quality=[part.quality(5.0)])
    standing = only([old, new])
    assert standing.counted == (new,)
    assert standing.superseded == 1


def test_a_new_description_does_not_make_another_model(make_record, part):
    told = {**part.spec("rotary", "rotary", 2), "description": "told in other words"}
    standing = only([make_record(seed=1), make_record(seed=2, spec=told)])
    assert len(standing.counted) == 2


def test_a_failure_of_the_machine_does_not_make_its_spec_the_current_one(make_record, part):
    good = make_record(minute=1)
    changed = {**part.spec("rotary", "rotary", 1), "training": {"steps": 9}}
    lost = make_record(minute=2, spec=changed, status="infra", error="host rebooted", cell="other")
    assert only([good, lost]).counted == (good,)


def test_tasks_roles_names_and_data_revisions_stand_apart(make_record):
    records = [
        make_record(),
        make_record(task="office-ja-en"),
        make_record(role="baseline"),
        make_record(name="alibi"),
        make_record(data_revision="sha256:other"),
    ]
    assert len(standings(records)) == 5


@pytest.mark.parametrize("created", ["", "yesterday", "2026-13-45T00:00:00Z", "0001-01-01T00:00:00+23:59"])
def test_a_date_that_cannot_be_read_is_the_oldest(make_record, created):
    odd = make_record(created=created, seed=1)
    dated = make_record(seed=1, minute=0)
    assert moment(odd) is None
    assert only([odd, dated]).counted == (dated,)


def test_dates_compare_across_time_zones(make_record):
    earlier = make_record(created="2026-11-20T12:00:00+02:00")  # 10:00 UTC
    later = make_record(created="2026-11-20T11:00:00Z")
    assert only([earlier, later]).counted == (later,)


def test_devices_are_told_apart_by_processor_threads_and_dtype(make_record, part):
    def keys(**changes):
        environment = changes.pop("environment", {"cpu": "Processor A"})
        return set(only([make_record(performance=[part.cpu(**changes)], environment=environment)]).performance())

    base = keys()
    assert keys() == base
    assert keys(threads=4) != base
    assert keys(dtype="bfloat16") != base
    assert keys(environment={"cpu": "Processor B"}) != base


def test_a_gpus_host_threads_do_not_split_its_column(make_record, part):
    standing = only([make_record(performance=[part.gpu(threads=1)]), make_record(seed=2, performance=[part.gpu()])])
    assert len(standing.performance()) == 1


def test_training_time_belongs_to_the_device_that_trained(make_record, part):
    record = make_record(
        performance=[part.cpu(training_tokens_per_second=None), part.gpu(training_tokens_per_second=1e5)]
    )
    assert training_device(record).kind == "cuda"
    unknown = make_record(performance=[part.cpu(), part.gpu(training_tokens_per_second=1e5)])
    assert training_device(unknown) is None


def test_the_metric_that_most_models_list_first_ranks(make_record, part):
    bleu, chrf = part.quality(20.0), part.quality(40.0, metric="chrF")
    found = standings(
        [
            make_record(name="a", quality=[chrf, bleu]),
            make_record(name="b", quality=[bleu, chrf]),
            make_record(name="c", quality=[bleu, chrf]),
        ]
    )
    assert [key.metric for key in metric_order(found)] == ["BLEU", "chrF"]


def test_scores_on_other_examples_or_with_another_signature_are_other_metrics(make_record, part):
    found = standings(
        [
            make_record(name="a", quality=[part.quality(20.0)]),
            make_record(name="b", quality=[part.quality(20.0, examples=10)]),
            make_record(name="c", quality=[part.quality(20.0, signature="tok:zh")]),
        ]
    )
    assert len(metric_order(found)) == 3
