from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zoo.errors import ZooError
from zoo.measure.baselines import copy_baseline
from zoo.measure.evaluate import evaluate, evaluation_examples, prepare_metrics, score_outputs
from zoo.spec.load import resolve
from zoo.tasks import DataHome


def test_the_references_as_outputs_score_full_marks(tiny: Any) -> None:
    found = score_outputs([example.target for example in tiny.examples], tiny.examples, tiny.spec)
    assert {score.metric: score.value for score in found.quality} == pytest.approx({"bleu": 100.0, "chrf": 100.0})
    assert found.collapsed is None
    assert found.examples == 25


def test_evaluation_scores_what_the_model_generates(tiny: Any) -> None:
    found = evaluate(tiny.model, tiny.tokenizers, tiny.examples, tiny.spec)
    again = score_outputs(found.outputs, tiny.examples, tiny.spec)
    assert found.quality == again.quality
    assert [score.metric for score in found.quality] == [metric.name for metric in tiny.spec.evaluation.metrics]
    assert 0 < found.probes["generated_tokens_per_output"] <= tiny.spec.decoding.max_new_tokens
    assert 0 <= found.probes["unfinished_share"] <= 1
    assert found.split == "test"


def test_samples_are_spread_over_the_set_and_hold_their_own_outputs(tiny: Any) -> None:
    outputs = [f"output {number}" for number in range(25)]
    found = score_outputs(outputs, tiny.examples, tiny.spec)
    assert len(found.samples) == 20
    by_id = {example.id: number for number, example in enumerate(tiny.examples)}
    places = [by_id[sample.id] for sample in found.samples]
    assert places == sorted(set(places))
    assert places[0] == 0
    assert places[-1] >= 23
    for sample in found.samples:
        example = tiny.examples[by_id[sample.id]]
        assert (sample.source, sample.reference) == (example.source, example.target)
        assert sample.output == f"output {by_id[sample.id]}"


def test_the_copy_baseline_gives_the_source_back(tiny: Any) -> None:
    found = copy_baseline(tiny.examples, tiny.spec)
    assert list(found.outputs) == tiny.sources
    assert found.quality[0].value < 50.0


def test_an_output_for_each_example_is_needed(tiny: Any) -> None:
    with pytest.raises(ValueError, match="24 outputs for 25 examples"):
        score_outputs(["x"] * 24, tiny.examples, tiny.spec)
    with pytest.raises(ValueError, match="at least one example"):
        evaluate(tiny.model, tiny.tokenizers, [], tiny.spec)


def test_the_spec_chooses_split_and_number(tiny: Any, tmp_path: Any) -> None:
    task = tiny.spec.task.create().prepare(DataHome(tmp_path))
    section = tiny.spec.evaluation.model_copy(update={"split": "dev", "max_examples": 7})
    spec = tiny.spec.model_copy(update={"evaluation": section})
    assert list(evaluation_examples(task, spec)) == list(task.examples("dev"))[:7]
    assert len(evaluation_examples(task, tiny.spec)) == len(task.examples("test"))


def test_a_metric_that_learns_sees_the_training_data_once_and_its_scores_are_made_again_without(
    tiny: Any, tmp_path: Any
) -> None:
    plain = tiny.spec.plain()
    plain["evaluation"]["metrics"] = [{"use": "rare-token-recall", "band": 4}, "chrf"]
    spec = resolve(plain)
    task = spec.task.create().prepare(DataHome(tmp_path))
    metrics = prepare_metrics(spec, tiny.examples, task)
    outputs = [example.target for example in tiny.examples[:20]] + [""] * 5
    found = score_outputs(outputs, tiny.examples, spec, metrics=metrics)
    assert [score.metric for score in found.quality] == ["token-recall-above-100", "chrf"]
    assert 0 < found.quality[0].value < 1
    items = found.metrics[0].items
    again = spec.evaluation.metrics[0].create().combined(items, np.ones((1, len(items))))
    assert again[0] == found.quality[0].value
    written = evaluate(tiny.model, tiny.tokenizers, tiny.examples, spec, metrics=metrics)
    assert written.quality[0].signature == found.quality[0].signature
    copied = copy_baseline(tiny.examples, spec, metrics=metrics)
    assert copied.quality[0].signature == found.quality[0].signature
    with pytest.raises(ZooError, match="training targets"):
        evaluate(tiny.model, tiny.tokenizers, tiny.examples, spec)
