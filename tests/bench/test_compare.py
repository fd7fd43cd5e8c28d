"""B against A on hand-made stores: which records meet, what can be compared, and the verdicts."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from zoo.bench import RecordStore
from zoo.bench.compare import ONE_EACH, compare
from zoo.bench.outputs import publish_outputs, read_outputs, write_outputs
from zoo.bench.selection import side
from zoo.errors import InputError
from zoo.registry import LoadPolicy, Registry, use_registry
from zoo.statistics import welch_test


@pytest.fixture
def store(tmp_path):
    return tmp_path / "records"


@pytest.fixture
def compared(store):
    """``compared("a", "b")``: the comparison of two models of the store."""

    def run(before="a", after="b", **settings):
        return compare(side(str(before), store), side(str(after), store), **settings)

    return run


def quality(comparison, metric="bleu"):
    (found,) = [item for item in comparison.models[0].quality if item.key.metric == metric]
    return found


def performance(comparison, quantity):
    (found,) = [item for item in comparison.models[0].performance if item.quantity == quantity]
    return found


def test_a_clearly_better_model_is_better_and_the_other_way_round_a_regression(add_model, store, compared):
    add_model(store, "a", errors=0.4)
    add_model(store, "b", errors=0.2)
    gain = compared("a", "b")
    assert [item.verdict for item in gain.models[0].quality] == ["better", "better"]
    assert gain.exit_status == 0
    assert gain.conclusion == "No regression: B is better in bleu; better in exact-match."
    loss = compared("b", "a")
    assert loss.exit_status == 1
    assert loss.regressions == ["worse in bleu", "worse in exact-match"]
    assert quality(loss).difference == -quality(gain).difference
    assert quality(loss).finding.interval == pytest.approx([-end for end in reversed(quality(gain).finding.interval)])


def test_a_lower_error_rate_is_better(add_model, store, compared):
    add_model(store, "a", errors=0.4, metrics=["cer"])
    add_model(store, "b", errors=0.2, metrics=["cer"])
    found = quality(compared(), "cer")
    assert found.difference < 0
    assert found.verdict == "better"


def test_a_model_against_itself_shows_no_difference(add_model, store, compared, measured):
    add_model(store, "a", performance=[measured()])
    found = compared("a", "a")
    assert {item.verdict for item in found.models[0].quality} == {"no difference shown"}
    assert {item.finding.p_value for item in found.models[0].quality} == {1.0}
    assert {item.verdict for item in found.models[0].performance} == {"within noise"}
    assert found.exit_status == 0


def test_one_seed_each_is_tested_on_sentences_and_says_that_it_is_not_about_architectures(add_model, store, compared):
    add_model(store, "a")
    add_model(store, "b", errors=0.31)
    found = compared()
    assert {item.finding.evidence for item in found.models[0].quality} == {"test examples"}
    assert found.models[0].notes() == [ONE_EACH]


def test_several_seeds_are_tested_over_seeds_and_sentences(add_model, store, compared):
    for seed in (1, 2, 3):
        add_model(store, "a", seed=seed, errors=0.4)
        add_model(store, "b", seed=seed, errors=0.2)
    found = quality(compared())
    assert found.finding.evidence == "training seeds and test examples"
    assert found.verdict == "better"
    assert len(found.finding.before) == len(found.finding.after) == 3
    assert found.difference == pytest.approx(np.mean(found.finding.after) - np.mean(found.finding.before))
    assert found.finding.welch_p_value == welch_test(found.finding.before, found.finding.after).p_value
    assert found.finding.sign_flip_p_value is None
    assert any("fewer than 6 cannot reach .05" in note for note in compared().models[0].notes())
    assert ONE_EACH not in compared().models[0].notes()


def test_a_difference_between_sentences_that_seeds_undo_is_not_shown(add_model, store, compared):
    """The seeds of one model differ more than the models do, and its sentences alone would call that a difference."""
    for seed, errors in ((1, 0.15), (2, 0.45)):
        add_model(store, "a", seed=seed, errors=errors)
        add_model(store, "b", seed=seed, errors=0.65 - errors)
    assert {item.verdict for item in compared().models[0].quality} == {"no difference shown"}


def test_six_pairs_of_seeds_get_a_sign_flip_test(add_model, store, compared):
    for seed in range(6):
        add_model(store, "a", seed=seed, errors=0.4, metrics=["bleu"], examples=30)
        add_model(store, "b", seed=seed, errors=0.2, metrics=["bleu"], examples=30)
    # All six differences have one sign: two of 64 assignments are as far from 0.
    assert quality(compared()).finding.sign_flip_p_value == 2 / 64


def test_several_seeds_against_one_compare_the_seed_that_both_have(add_model, store, compared):
    for seed in (1, 2, 3):
        add_model(store, "a", seed=seed)
    add_model(store, "b", seed=2, errors=0.2)
    found = compared()
    assert quality(found).finding.evidence == "test examples"
    assert any(
        note.startswith("One side has one seed: seed 2 of A and seed 2 of B") for note in found.models[0].notes()
    )


def test_seeds_without_outputs_are_tested_by_welch(add_model, store, compared):
    for seed in (1, 2, 3):
        add_model(store, "a", seed=seed, errors=0.4)
        add_model(store, "b", seed=seed, errors=0.2, outputs=False)
    found = quality(compared())
    assert found.finding.evidence == "training seeds"
    assert found.finding.p_value == welch_test(found.finding.before, found.finding.after).p_value
    assert any("no per-example outputs" in note for note in compared().models[0].notes())


def test_without_outputs_and_seeds_models_differ_where_their_intervals_do_not_touch(add_model, store, compared):
    add_model(store, "a", errors=0.6, outputs=False)
    add_model(store, "b", errors=0.1, outputs=False)
    add_model(store, "c", errors=0.58, outputs=False)
    assert quality(compared("a", "b")).finding.evidence == "intervals on record"
    assert quality(compared("a", "b")).verdict == "better"
    assert quality(compared("a", "c")).verdict == "no difference shown"


def test_without_outputs_seeds_and_intervals_there_is_no_verdict(add_model, store, compared):
    for name in ("a", "b"):
        record = add_model(store, name, outputs=False, metrics=["bleu"])
        bare = record.quality[0].model_copy(update={"interval": None})
        (store / f"{record.id}.json").unlink()
        RecordStore(store).append(record.model_copy(update={"quality": [bare]}))
    found = compared()
    assert quality(found).verdict == "not comparable"
    assert found.exit_status == 1
    assert found.conclusion == "Nothing to compare: neither outputs nor intervals on record."


def test_holm_is_over_everything_that_a_run_compares(add_model, store, compared):
    add_model(store, "a")
    add_model(store, "b", errors=0.26)
    found = compared().models[0].quality
    low, high = sorted(item.finding.p_value for item in found)
    assert sorted(item.adjusted_p_value for item in found) == pytest.approx(
        [min(1, 2 * low), min(1, max(2 * low, high))]
    )
    # A level that the smaller p-value meets by itself, and twice it does not.
    strict = compared(alpha=1.5 * low).models[0].quality
    assert {item.verdict for item in strict} == {"no difference shown"}
    (alone,) = compared(metrics=["bleu"]).models[0].quality
    assert alone.adjusted_p_value == alone.finding.p_value


def test_the_false_discovery_rate_is_bounded_where_that_is_asked_for(add_model, store, compared):
    add_model(store, "a")
    add_model(store, "b", errors=0.26)
    asked = compared(correction="fdr")
    found = asked.models[0].quality
    low, high = sorted(item.finding.p_value for item in found)
    # Benjamini and Hochberg's step-up rule of two: the larger as it is, the smaller doubled but no more than that.
    assert sorted(item.adjusted_p_value for item in found) == pytest.approx([min(2 * low, high), high])
    assert asked.plain()["correction"] == "fdr"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data_revision": "sha256:2"}, "other data: revisions sha256:1 and sha256:2"),
        ({"task": "office-ja-en"}, "other tasks: office-zh-en and office-ja-en"),
        ({"examples": 40}, "other examples: 80 and 40"),
    ],
)
def test_what_was_scored_on_other_data_is_not_compared(add_model, store, compared, change, why):
    add_model(store, "a")
    add_model(store, "b", **change)
    found = compared()
    assert {(item.verdict, item.why) for item in found.models[0].quality} == {("not comparable", why)}
    assert found.exit_status == 1


def test_a_metric_with_other_settings_or_on_one_side_only_is_not_compared(add_model, store, compared):
    add_model(store, "a", metrics=["bleu", "exact-match"])
    add_model(store, "b", metrics=[{"use": "bleu", "lowercase": True}, "exact-match", "cer"])
    found = compared()
    assert [item.verdict for item in found.models[0].quality].count("not comparable") == 2
    assert quality(found).why.startswith("other signature: ")
    assert quality(found, "cer").why == "A was not scored by it"
    assert quality(found, "exact-match").verdict == "no difference shown"


def test_outputs_in_another_order_are_matched_by_their_ids(add_model, store, compared, tmp_path):
    add_model(store, "a", metrics=["bleu"])
    record = add_model(store, "b", errors=0.26, metrics=["bleu"])
    straight = quality(compared()).finding
    kept = read_outputs(store, record)
    order = list(range(len(kept.ids)))[::-1]

    def turned(values):
        return tuple(values[index] for index in order)

    metric = replace(kept.metrics[0], items=turned(kept.metrics[0].items), scores=kept.metrics[0].scores[::-1])
    texts = {name: turned(getattr(kept, name)) for name in ("ids", "sources", "references", "outputs")}
    write_outputs(tmp_path / "turned.parquet", replace(kept, metrics=(metric,), **texts))
    (store / record.outputs.file).unlink()
    (store / f"{record.id}.json").unlink()
    file = publish_outputs(tmp_path / "turned.parquet", store, record.id)
    RecordStore(store).append(record.model_copy(update={"outputs": file}))
    assert quality(compared()).finding.p_value == straight.p_value


def test_outputs_that_do_not_give_the_recorded_score_are_not_trusted(add_model, store, compared):
    add_model(store, "a", metrics=["bleu"])
    record = add_model(store, "b", metrics=["bleu"])
    (store / f"{record.id}.json").unlink()
    wrong = record.quality[0].model_copy(update={"value": record.quality[0].value + 1})
    RecordStore(store).append(record.model_copy(update={"quality": [wrong]}))
    assert quality(compared()).finding.evidence == "intervals on record"
    assert any("which says" in note for note in compared().models[0].notes())


def test_without_the_metrics_plugin_the_recorded_intervals_are_what_is_left(add_model, store, compared):
    add_model(store, "a", errors=0.6)
    add_model(store, "b", errors=0.1)
    with use_registry(Registry.load(LoadPolicy(blocked=frozenset({"zoo-tasks-text"})))):
        found = compared()
    assert quality(found).finding.evidence == "intervals on record"
    assert quality(found).verdict == "better"
    assert any("the metric 'zoo-tasks-text/bleu' cannot be loaded here" in note for note in found.models[0].notes())


def test_outputs_that_were_changed_are_not_read(add_model, store, compared):
    add_model(store, "a")
    record = add_model(store, "b")
    (store / record.outputs.file).write_bytes(b"PAR1")
    assert quality(compared()).finding.evidence == "intervals on record"
    assert any("sha256" in note for note in compared().models[0].notes())


@pytest.mark.parametrize(
    ("latency", "verdict"), [(1.25, "slower"), (0.8, "faster"), (1.0, "within noise"), (1.05, "cannot tell")]
)
def test_latency_is_judged_beyond_noise_and_margin(add_model, store, compared, measured, latency, verdict):
    add_model(store, "a", performance=[measured()])
    add_model(store, "b", performance=[measured(latency)])
    found = performance(compared(), "latency")
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(latency)
    low, high = found.interval
    assert low < latency < high
    assert compared().exit_status == (1 if verdict == "slower" else 0)


def test_a_wider_margin_forgives(add_model, store, compared, measured):
    add_model(store, "a", performance=[measured()])
    add_model(store, "b", performance=[measured(1.25, 0.8, 1.25)])
    assert compared().regressions == [
        "slower in latency",
        "slower in throughput, batch 16",
        "larger in peak memory, rss",
    ]
    assert compared(max_slowdown=0.5).exit_status == 0


def test_a_machine_that_moved_widens_the_interval(add_model, store, compared, measured):
    moved = {"kernel": "matmul-512", "before": 0.0100, "after": 0.0130}
    add_model(store, "a", performance=[measured()])
    add_model(store, "b", performance=[measured(1.25)])
    add_model(store, "c", performance=[measured(1.25, calibration=moved)])
    steady, shaken = (performance(compared("a", name), "latency") for name in ("b", "c"))
    assert shaken.drift == pytest.approx(0.3)
    assert shaken.interval[0] == pytest.approx(steady.interval[0] * (1 + steady.drift) / 1.3)
    assert (steady.verdict, shaken.verdict) == ("slower", "cannot tell")


def test_four_processes_are_too_few_to_tell(add_model, store, compared, measured):
    add_model(store, "a", performance=[measured()])
    add_model(store, "b", performance=[measured(3.0, processes=(0.1, 0.1, 0.1, 0.1))])
    found = performance(compared(), "latency")
    assert found.verdict == "cannot tell"
    assert found.why == "5 fresh processes a side are needed, found 5 and 4"


@pytest.mark.parametrize(("before", "after", "letter"), [("a", "b", "B"), ("b", "a", "A")])
def test_a_disturbed_measurement_is_no_regression_and_no_gain(
    add_model, store, compared, measured, before, after, letter
):
    """Four processes of five had a rival: every interval of independent processes lies beyond the margin."""
    add_model(store, "a", performance=[measured(processes=(0.100, 0.101, 0.102, 0.103, 0.104))])
    add_model(store, "b", performance=[measured(processes=(0.120, 0.9, 1.1, 1.0, 1.2))])
    found = performance(compared(before, after), "latency")
    assert not found.interval[0] <= 1 <= found.interval[1]
    assert found.verdict == "cannot tell"
    assert found.why == f"unsteady: {letter}'s processes differ 10 times, something else was at work"


def test_the_processes_of_several_seeds_count_together(add_model, store, compared, measured):
    for name, latency in (("a", 1.0), ("b", 1.25)):
        for seed in (1, 2):
            three = measured(latency, processes=(0.1, 0.101, 0.102))
            add_model(store, name, seed=seed, examples=20, performance=[three])
    assert performance(compared(), "latency").verdict == "slower"


@pytest.mark.parametrize(("change", "devices"), [({"threads": 4}, 0), ({"dtype": "bfloat16"}, 0), ({}, 1)])
def test_only_the_same_device_threads_and_dtype_are_compared(add_model, store, compared, measured, change, devices):
    add_model(store, "a", performance=[measured()])
    add_model(store, "b", performance=[measured(2.0, **change)])
    found = compared()
    assert len({item.device for item in found.models[0].performance}) == devices
    assert any("only one of the two was measured there" in note for note in found.models[0].notes()) == (not devices)


@pytest.mark.parametrize(("rate", "verdict"), [(0.7, "slower"), (1.4, "faster"), (1.0, "cannot tell")])
def test_throughput_scatters_as_latency_does(add_model, store, compared, measured, rate, verdict):
    """Welch's interval of two single values: t times the square root of twice the variance of log latency."""
    noisy = (0.100, 0.104, 0.097, 0.102, 0.099)
    add_model(store, "a", performance=[measured(processes=noisy, calibration=None)])
    add_model(store, "b", performance=[measured(rate=rate, processes=noisy, calibration=None)])
    found = performance(compared(), "throughput, batch 16")
    # Two groups of five with one variance have 8 degrees of freedom, whose 97.5% quantile is 2.306.
    half = 2.306 * math.sqrt(2 * np.var(np.log(noisy), ddof=1))
    assert found.interval == pytest.approx((rate * math.exp(-half), rate * math.exp(half)), rel=1e-4)
    assert found.verdict == verdict


def test_a_batch_that_no_longer_fits_is_a_regression(add_model, store, compared, measured):
    add_model(store, "a", performance=[measured()])
    add_model(store, "b", performance=[measured(throughput=[{"batch": 16, "status": "oom"}])])
    found = compared()
    assert performance(found, "throughput, batch 16").why == "B does not fit into memory"
    assert found.regressions == ["slower in throughput, batch 16"]
    assert compared("b", "a").exit_status == 0


def test_a_model_that_no_longer_trains_is_a_regression(add_model, store, compared):
    add_model(store, "a")
    add_model(store, "b", status="nan", error="the loss of step 3 is not finite", quality=[])
    found = compared()
    assert found.exit_status == 1
    assert found.conclusion == "Regression: B is without a result (nan)."
    assert found.models[0].quality == ()
    assert found.models[0].notes()[0] == "B has no result: nan: the loss of step 3 is not finite."
    assert compared("b", "a").conclusion.startswith("Nothing to compare: A has no result: nan")


def test_a_machine_that_failed_is_no_regression_but_nothing_to_compare(add_model, store, compared):
    add_model(store, "a")
    add_model(store, "b", status="infra", error="host went away", quality=[])
    found = compared()
    assert (found.exit_status, found.regressions) == (1, [])
    assert found.conclusion == "Nothing to compare: B has no result: infra: host went away."


def test_a_seed_that_failed_is_told(add_model, store, compared):
    add_model(store, "a")
    add_model(store, "b")
    add_model(store, "b", seed=7, status="nan", error="nan", quality=[])
    assert "B failed with seed 7: the mean is over those that finished." in compared().models[0].notes()


def test_folders_are_paired_by_task_and_name(add_model, tmp_path, store):
    old, new = tmp_path / "old", tmp_path / "new"
    for name in ("rotary", "alibi", "gone"):
        add_model(old, name, metrics=["bleu"])
    add_model(new, "rotary", errors=0.1, metrics=["bleu"])
    add_model(new, "alibi", errors=0.6, metrics=["bleu"])
    add_model(new, "fresh")
    found = compare(side(str(old), store), side(str(new), store))
    assert [model.name for model in found.models] == ["alibi", "rotary"]
    assert found.regressions == ["alibi: worse in bleu"]
    assert [model.standing.name for model in found.pairing.only_before] == ["gone"]
    assert [model.standing.name for model in found.pairing.only_after] == ["fresh"]
    one = compare(side(str(old), new), side("rotary", new))
    assert [model.name for model in one.models] == ["rotary"]


def test_the_comparison_is_plain_json(add_model, store, compared, measured):
    add_model(store, "a", performance=[measured()])
    add_model(store, "b", performance=[measured(1.25)])
    found = json.loads(json.dumps(compared().plain(), allow_nan=False))
    assert found["schema"] == "zoo.comparison/1"
    assert found["exit_status"] == 1
    assert found["regressions"] == ["slower in latency"]
    (model,) = found["models"]
    assert {item["verdict"] for item in model["quality"]} == {"no difference shown"}
    assert model["a"]["seeds"] == [1]


def test_measurements_on_other_data_are_not_compared(add_model, store, compared, measured):
    add_model(store, "a", performance=[measured()])
    add_model(store, "b", data_revision="sha256:2", performance=[measured(3.0)])
    found = compared()
    assert found.models[0].performance == ()
    assert found.conclusion == "Nothing to compare: other data: revisions sha256:1 and sha256:2."


def test_absurd_numbers_of_a_strangers_record_are_no_verdict_and_no_crash(add_model, store, compared, measured):
    wild = (1e-300, 1e300, 1.0, 1e-300, 1e300)
    add_model(store, "a", performance=[measured(processes=wild, rate=1e-300)])
    add_model(store, "b", performance=[measured(processes=wild, rate=1e300)])
    found = compared()
    assert performance(found, "latency").verdict == "cannot tell"
    assert performance(found, "throughput, batch 16").verdict == "cannot tell"
    json.dumps(found.plain(), allow_nan=False)


def test_an_unknown_metric_is_told_with_the_nearest(add_model, store, compared):
    add_model(store, "a")
    add_model(store, "b")
    with pytest.raises(InputError, match="no metric 'blue' on record: did you mean 'bleu'"):
        compared(metrics=["blue"])
