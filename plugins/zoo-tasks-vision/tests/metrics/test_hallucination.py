"""Text where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from zoo_tasks_vision.metrics.hallucination import Hallucination
from zoo_tasks_vision.metrics.options import HallucinationOptions

from zoo.errors import InputError
from zoo.tasks import Example
from zoo.testing import MetricData, MetricSuite

CONTENT = ["text", "blank", "unseen"] * 4


class TestConformance(MetricSuite):
    component = "zoo-tasks-vision/hallucination"
    options = ({}, {"content": "blank"})

    def data(self):
        references = ["word" if content == "text" else "" for content in CONTENT]
        strata = [{"content": content} for content in CONTENT]
        return MetricData(CONTENT, references, right=references, wrong=["zzz"] * 12, empty="", strata=strata)

    def test_an_empty_output_is_an_output(self, chosen):
        data = self.data()
        assert self.score(chosen, [""] * 12).value == 0.0
        assert self.score(chosen, [*data.wrong[:-2], "", ""]).value < 1.0


def example(number, content):
    return Example(str(number), "image", "word" if content == "text" else "", strata={"content": content})


def score(outputs, contents, **options):
    metric = Hallucination(HallucinationOptions(**options))
    return metric.score_items(metric.example_items(outputs, [example(*item) for item in enumerate(contents)]))


def test_one_character_is_enough_and_white_space_is_none():
    found = score(["", " ", "x", "word", "no"], ["blank", "blank", "unseen", "text", "text"])
    assert found.value == pytest.approx(1 / 3)
    assert found.details == {"images": 3, "invented": 1}
    assert found.direction == "lower"


def test_backgrounds_can_be_scored_apart():
    outputs, contents = ["x", "", "", ""], ["unseen", "unseen", "blank", "text"]
    assert score(outputs, contents, content="unseen").value == 0.5
    assert score(outputs, contents, content="blank").value == 0.0


def test_examples_that_all_have_text_are_refused():
    metric = Hallucination(HallucinationOptions(content="blank"))
    with pytest.raises(InputError, match="none of 2 examples is an image without text of content 'blank'"):
        metric.accept([example(0, "text"), example(1, "unseen")])
    metric.accept([replace(example(0, "blank"))])
