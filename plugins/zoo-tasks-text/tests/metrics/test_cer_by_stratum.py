"""Character error rate by strata."""

from __future__ import annotations

import pytest
from zoo_tasks_text.metrics.cer import Cer
from zoo_tasks_text.metrics.cer_by_stratum import CerByStratum
from zoo_tasks_text.metrics.options import CerByStratumOptions, CerOptions

from zoo.errors import InputError
from zoo.tasks import Example

LINES = [
    ("abcd", "abcx", "2-5", "8"),
    ("abcdefgh", "abcdefgh", "2-5", "8"),
    ("ab", "xy", "5-15", "8"),
    ("abcdef", "abcdef", "2-5", "16"),
    ("", "zzz", "2-5", "16"),
]


def scored(**options):
    metric = CerByStratum(CerByStratumOptions(**options))
    examples = [
        Example(str(number), "image", reference, strata={"aspect": aspect, "height": height})
        for number, (reference, _, aspect, height) in enumerate(LINES)
    ]
    return metric, metric.score_items(metric.example_items([line[1] for line in LINES], examples))


def test_each_stratum_has_the_rate_of_its_own_lines():
    _, score = scored()
    assert score.details == {
        "by_stratum": {
            "aspect 2-5, height 8": {"cer": 1 / 12, "examples": 2, "characters": 12},
            "aspect 2-5, height 16": {"cer": 0.0, "examples": 1, "characters": 6},
            "aspect 5-15, height 8": {"cer": 1.0, "examples": 1, "characters": 2},
        },
        "worst": "aspect 5-15, height 8",
    }


def test_the_value_is_the_cer_of_the_lines_that_have_text():
    _, score = scored(by=["height"])
    written = [line for line in LINES if line[0]]
    expected = Cer(CerOptions()).score([line[1] for line in written], [line[0] for line in written], written)
    assert score.value == expected.value == pytest.approx(3 / 20)
    assert list(score.details["by_stratum"]) == ["height 8", "height 16"]


def test_examples_without_the_stratum_are_refused_with_what_they_have():
    metric, _ = scored(by=["font"])
    with pytest.raises(InputError, match="none of 1 examples has the stratum 'font'; they have aspect"):
        metric.accept([Example("0", "image", "text", strata={"aspect": "2-5"})])
    with pytest.raises(InputError, match="they have no strata"):
        metric.accept([Example("0", "source", "text")])
