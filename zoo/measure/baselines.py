"""Controls that every trained model must beat. The other one, the untrained model, is a model: it is just evaluated."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.measure.evaluate import Evaluation, image_of, score_outputs
from zoo.spec.generator_spec import GeneratorSpec
from zoo.spec.sections import Spec
from zoo.tasks.contracts import Example, Metric


def copy_baseline(examples: Sequence[Example], spec: Spec, *, metrics: Sequence[Metric] | None = None) -> Evaluation:
    """The source given back as the output: what names, numbers and punctuation alone are worth; of a board of
    generators the real images themselves, which no model can do better than. `metrics` as in `evaluate`.
    """
    if isinstance(spec, GeneratorSpec):
        return score_outputs([image_of(example) for example in examples], examples, spec, metrics=metrics)
    return score_outputs([example.translated for example in examples], examples, spec, metrics=metrics)
