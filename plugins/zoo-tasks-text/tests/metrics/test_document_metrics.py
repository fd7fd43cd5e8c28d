"""Contrastive accuracy and omitted sentences."""

from __future__ import annotations

import numpy as np
import pytest
from zoo_tasks_text.metrics.contrastive import Contrastive
from zoo_tasks_text.metrics.omitted import Omitted
from zoo_tasks_text.metrics.options import ContrastiveOptions, OmittedOptions

from zoo.errors import InputError
from zoo.tasks import Example


def contrastive():
    return Contrastive(ContrastiveOptions())


def examples(*contrasts):
    return [Example(str(index), "s", "t", contrasts=("w",) * count) for index, count in enumerate(contrasts)]


def test_the_target_must_beat_every_contrast_and_a_tie_is_wrong():
    scores = [np.array([-1.0, -2.0, -3.0]), np.array([-2.5, -2.0, -3.0]), np.array([-1.0, -1.0]), np.array([0.0])]
    metric = contrastive()
    items = metric.example_items(scores, examples(2, 2, 1, 0))
    assert [item.tolist() for item in items] == [[1, 1], [0, 1], [0, 1], [0, 0]]
    assert metric.score_items(items).value == pytest.approx(1 / 3)
    assert np.isnan(metric.segments(items)[3])


def test_examples_without_contrasts_are_refused_before_training():
    with pytest.raises(InputError, match="needs examples with contrasts"):
        contrastive().accept(examples(0, 0))
    contrastive().accept(examples(0, 1))


@pytest.mark.parametrize(
    ("output", "share"),
    [("a\nb\nc", 0.0), ("a\nb", 1 / 3), ("a b c", 2 / 3), ("", 1.0), ("a\nb\nc\nd", 0.0), ("\n\n", 1.0)],
)
def test_missing_lines_count_and_extra_ones_do_not_make_up_for_them(output, share):
    assert Omitted(OmittedOptions()).score([output], ["x\ny\nz"], ["s"]).value == pytest.approx(share)


def test_an_output_with_too_many_lines_does_not_hide_another_ones_omission():
    assert Omitted(OmittedOptions()).score(["a\nb\nc", "a"], ["x\ny", "x\ny"], ["s", "s"]).value == pytest.approx(1 / 4)
