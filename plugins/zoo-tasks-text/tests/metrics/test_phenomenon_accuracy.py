"""Accuracy of checked words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.metrics.options import PhenomenonAccuracyOptions
from zoo_tasks_text.metrics.phenomenon_accuracy import PhenomenonAccuracy, right_checks

from zoo.bench.outputs import MetricOutputs
from zoo.bench.rescoring import metric_of, rescored
from zoo.errors import InputError
from zoo.statistics import wilson_interval
from zoo.tasks import Check, Example


def metric(**options) -> PhenomenonAccuracy:
    return PhenomenonAccuracy(PhenomenonAccuracyOptions(**{"phenomenon": "homograph", **options}))


def example(*checks: Check, target: str = "x", name: str = "1") -> Example:
    return Example(id=name, source="s", target=target, checks=checks)


BANK = Check("homograph", "bank", ("shore",), 3)


@pytest.mark.parametrize(
    ("output", "right"),
    [
        ("the bank opens", 1),
        ("opens bank the", 1),
        ("“Bank,” he said: (bank).", 1),
        ("the shore opens", 0),
        ("the bank or shore opens", 0),
        ("the banks open", 0),
        ("the embankment", 0),
        ("the Bank opens", 0),
        ("", 0),
        ("bank bank bank", 1),
    ],
)
def test_the_expected_word_stands_there_and_no_wrong_one(output, right):
    assert right_checks(output, "the bank opens", [BANK]) == right


@pytest.mark.parametrize(
    ("output", "right"),
    [("bank by bank", 2), ("bank by shore", 0), ("bank", 0), ("bank bank shore", 0)],
)
def test_a_word_that_two_checks_expect_must_stand_there_twice(output, right):
    assert right_checks(output, "bank by bank", [BANK, BANK]) == right


@pytest.mark.parametrize(("output", "right"), [("bank on the shore", 1), ("shore on the shore", 0), ("bank", 1)])
def test_a_wrong_word_may_stand_as_often_as_in_the_reference(output, right):
    assert right_checks(output, "bank on the shore", [BANK]) == right


def test_a_word_that_the_reference_has_twice_must_stand_there_twice():
    assert right_checks("bank here", "bank bank", [BANK]) == 0
    assert right_checks("bank bank", "bank bank", [BANK]) == 1


@pytest.mark.parametrize(
    ("output", "right"), [("他去了银行。", 1), ("他去了河岸。", 0), ("他从银行去了河岸。", 0), ("银行银行", 1)]
)
def test_text_without_spaces_is_searched_for_substrings(output, right):
    assert right_checks(output, "他去银行。", [Check("homograph", "银行", ("河岸",))]) == right


def test_words_with_a_space_in_them_and_composed_letters():
    assert right_checks("in New York now", "New York", [Check("entity", "New York")]) == 1
    assert right_checks("a cafe\u0301", "a caf\u00e9", [Check("entity", "caf\u00e9")]) == 1


def test_only_checks_of_the_phenomenon_and_the_distances_count():
    checks = [Check("homograph", "a", (), distance) for distance in (0, 3, 7)]
    given = [example(*checks, Check("homograph", "b", ()), Check("term", "c"))]

    def counted(**options):
        return metric(**options).example_items(["a"], given)[0][1]

    assert counted() == 4
    assert counted(min_distance=3) == 2
    assert counted(max_distance=3) == 2
    assert counted(min_distance=3, max_distance=6) == 1
    assert counted(phenomenon="term") == 1


def test_the_name_tells_phenomenon_and_distances():
    assert metric().name == "homograph-accuracy"
    assert metric(min_distance=4).name == "homograph-accuracy-from-4"
    assert metric(max_distance=8).name == "homograph-accuracy-to-8"
    assert metric(min_distance=4, max_distance=8, phenomenon="rare-word").name == "rare-word-accuracy-4-to-8"
    assert len({metric(**o).signature for o in ({}, {"min_distance": 4}, {"phenomenon": "term"})}) == 3


def test_examples_that_have_no_such_check_are_refused_with_those_they_have():
    given = [example(Check("term", "a"), Check("term", "b")), example(Check("entity", "c"))]
    with pytest.raises(
        InputError, match=r"none of 2 examples.*'homograph'; their checks are of entity \(1\), term \(2"
    ):
        metric().accept(given)
    with pytest.raises(InputError, match="they have no checks"):
        metric().accept([example()])
    with pytest.raises(InputError, match="at such a distance"):
        metric(min_distance=9).accept([example(BANK)])
    metric(min_distance=3, max_distance=3).accept([example(), example(BANK)])


def test_the_score_is_the_share_of_all_checks_and_an_example_without_one_has_none():
    examples = [example(BANK, target="bank"), example(BANK, BANK, target="bank bank"), example(target="x")]
    found = metric().example_items(["bank", "bank shore", "x"], examples)
    assert [item.tolist() for item in found] == [[1, 1], [0, 2], [0, 0]]
    score = metric().score_items(found)
    assert score.value == pytest.approx(1 / 3)
    segments = metric().segments(found)
    assert segments[:2].tolist() == [1, 0]
    assert np.isnan(segments[2])


def test_a_resample_without_any_check_scores_zero():
    items = [np.array([1.0, 1.0]), np.zeros(2)]
    assert metric().combined(items, np.array([[0.0, 2.0], [1.0, 1.0]])).tolist() == [0.0, 1.0]


def test_texts_alone_hold_no_checks():
    items = metric().items(["a"], ["a"], ["s"])
    assert [item.tolist() for item in items] == [[0, 0]]
    score = metric().score_items(items)
    assert (score.value, score.interval) == (0.0, (0.0, 1.0))


def test_one_check_an_example_has_wilsons_interval_of_as_many_trials():
    items = [np.array([float(index < 30), 1.0]) for index in range(40)] + [np.zeros(2)] * 9
    low, high = metric().interval(items)
    # The clustered variance has n - 1 where the binomial one has n.
    assert (low, high) == pytest.approx(wilson_interval(30 * 39 / 40, 39))


def test_checks_that_go_wrong_together_count_as_one():
    together = [np.array([4.0 * (index < 30), 4.0]) for index in range(40)]
    alone = [np.array([float(index < 30), 1.0]) for index in range(40)]
    assert metric().interval(together) == pytest.approx(metric().interval(alone))


counts = st.integers(0, 4).flatmap(lambda checks: st.tuples(st.integers(0, checks), st.just(checks)))


@given(st.lists(counts, min_size=1, max_size=20))
def test_the_interval_holds_the_score_and_stays_between_zero_and_one(drawn):
    score = metric().score_items([np.array(item, dtype=np.float64) for item in drawn])
    low, high = score.interval
    assert 0 <= low <= score.value + 1e-12
    assert score.value - 1e-12 <= high <= 1


def test_a_kept_score_is_computed_again_from_what_the_examples_contributed():
    examples = [example(BANK, target="bank"), example(BANK, target="bank")]
    found = metric().example_items(["bank", "shore"], examples)
    kept = MetricOutputs(
        metric=metric().name,
        signature=metric().signature,
        direction="higher",
        unit="fraction",
        component={"use": "zoo-tasks-text/phenomenon-accuracy", "phenomenon": "homograph"},
        items=tuple(found),
        scores=metric().segments(found),
    )
    assert rescored(metric_of(kept), kept) == 0.5
