"""Quality of a model on a test set: generate, score, look for collapse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from zoo.errors import InputError
from zoo.measure.collapse import collapse_probes, collapsed
from zoo.measure.detecting import boxes_as_text, detect_all, detection_probes, nothing_found
from zoo.measure.generating import LOOKED_AT, all_alike, generate_all, image_probes, sampling_probes
from zoo.measure.generation import generate_outputs
from zoo.measure.likelihoods import target_likelihoods
from zoo.measure.reading import as_read, refuse_other_input, source_of
from zoo.models.tokenizers import Tokenizers
from zoo.probes.contracts import Series
from zoo.probes.harness import measure_probes, refuse_unfit
from zoo.spec.detection_spec import DetectionSpec
from zoo.spec.generator_spec import GeneratorSpec
from zoo.spec.options import Chosen
from zoo.spec.sections import Spec
from zoo.tasks.contracts import Example, Items, Metric, PreparedTask, Progress, Score, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN_SAMPLES = 20
"""Examples kept with their outputs for a reader."""


@dataclass(frozen=True)
class EvaluatedSample:
    """One example with its output."""

    id: str
    source: str
    reference: str
    output: str
    context: str | None = None
    """What the model read beside the source; None where it read nothing."""


@dataclass(frozen=True)
class ScoredMetric:
    """What one metric of the spec found."""

    component: dict[str, Any]
    """The chosen metric as the spec has it."""
    score: Score
    items: Items
    """What each example contributes: see `zoo.tasks.Metric.items`."""
    segments: NDArray[np.float64]
    """The score of each example by itself, ``[N]``."""


@dataclass(frozen=True)
class Evaluation:
    """Scores on one set of examples, the scalars beside them, and texts in the order of the examples."""

    metrics: tuple[ScoredMetric, ...]
    probes: dict[str, float]
    collapsed: str | None
    """Why the outputs count as collapsed, or None."""
    samples: tuple[EvaluatedSample, ...]
    ids: tuple[str, ...]
    sources: tuple[str, ...]
    references: tuple[str, ...]
    outputs: tuple[str, ...]
    split: str
    probe_series: dict[str, Series] = field(default_factory=dict)
    """What the probes of the spec found along an axis, by ``<probe>.<name>``."""

    @property
    def quality(self) -> tuple[Score, ...]:
        """The corpus scores, in the order of the spec's metrics."""
        return tuple(metric.score for metric in self.metrics)

    @property
    def examples(self) -> int:
        """Number of scored examples."""
        return len(self.ids)


def evaluation_examples(task: PreparedTask, spec: Spec) -> Sequence[Example]:
    """The examples that `spec.evaluation` names: its split, cut to its first `max_examples`."""
    examples = task.examples(spec.evaluation.split)
    limit = spec.evaluation.max_examples
    return examples if limit is None else examples[:limit]


def prepare_metrics(
    spec: Spec,
    examples: Sequence[Example] | None = None,
    task: PreparedTask | None = None,
    *,
    progress: Progress = silent,
) -> tuple[Metric, ...]:
    """The metrics of the spec, in its order, each of which has found what it needs, before anything that takes long:
    has looked at the training data of `task` and at the examples, where these are known. Raises ZooError where
    something is missing.
    """
    metrics: list[Metric] = [chosen.create() for chosen in spec.evaluation.metrics]
    for metric in metrics:
        metric.prepare()
        if task is not None:
            metric.learn(task, progress)
        if examples is not None:
            metric.accept(examples)
    return tuple(metrics)


def evaluate(
    model: Any,
    tokenizers: Tokenizers,
    examples: Sequence[Example],
    spec: Spec,
    *,
    metrics: Sequence[Metric] | None = None,
    with_probes: bool = True,
    progress: Progress = silent,
) -> Evaluation:
    """Generate as `spec.decoding` says, score with the metrics of `spec.evaluation`, and measure its probes.

    Scores every given example: `evaluation_examples` chooses them. `metrics` are those that `prepare_metrics` made for
    them; where absent they are made here, and have no training data to learn from. Raises ValueError without examples,
    InputError where they have a context and the model no encoder for it, or hold what the model does not read.
    """
    if not examples:
        raise ValueError("evaluation needs at least one example")
    refuse_other_input(spec.model, "text" if examples[0].image is None else "image")
    metrics = prepare_metrics(spec, examples) if metrics is None else metrics
    if any(example.context is not None for example in examples) and not model.reads_context:
        raise InputError("the examples have a second input (context), but the model has no context encoder")
    if with_probes:
        refuse_unfit(model, spec.evaluation.probes)
    if isinstance(spec, DetectionSpec):
        found_boxes = detect_all(model, [source_of(example) for example in examples], spec.detection, progress)
        return score_outputs(found_boxes, examples, spec, metrics=metrics)
    if isinstance(spec, GeneratorSpec):
        images = generate_all(model, len(examples), spec.generation, progress)
        return score_outputs(images, examples, spec, metrics=metrics, probes=sampling_probes(model))
    limit = model.source_limit(spec.decoding.max_new_tokens)
    generated = generate_outputs(
        model,
        tokenizers,
        [source_of(example) for example in as_read(model, tokenizers, examples, spec)],
        spec.decoding,
        max_source_tokens=limit,
        progress=progress,
    )
    probes = {
        "generated_tokens_per_output": generated.tokens / len(examples),
        "unfinished_share": generated.unfinished / len(examples),
        "truncated_sources": float(generated.truncated),
    }
    likelihoods = None
    if any(metric.reads == "likelihoods" for metric in metrics):
        likelihoods = target_likelihoods(
            model,
            tokenizers,
            examples,
            batch_size=spec.decoding.batch_size,
            max_tokens=model.source_limit(spec.model.max_positions),
            progress=progress,
        )
    found = score_outputs(generated.outputs, examples, spec, metrics=metrics, probes=probes, likelihoods=likelihoods)
    if not with_probes or not spec.evaluation.probes:
        return found
    written = dict(zip((example.id for example in examples), generated.outputs, strict=True))
    probed = measure_probes(
        model,
        tokenizers,
        spec.evaluation.probes,
        examples,
        max_tokens=model.source_limit(spec.model.max_positions),
        write=lambda sample: [written[example.id] for example in sample],
        spec=spec,
        progress=progress,
    )
    return replace(found, probes={**found.probes, **probed.scalars}, probe_series=probed.series)


def score_outputs(
    outputs: Sequence[Any],
    examples: Sequence[Example],
    spec: Spec,
    *,
    metrics: Sequence[Metric] | None = None,
    probes: dict[str, float] | None = None,
    likelihoods: Sequence[NDArray[np.float64]] | None = None,
) -> Evaluation:
    """Score outputs that are already there (a baseline's, a file's) as `evaluate` would, `metrics` as there: texts,
    lists of `Detection` where the spec's model finds boxes, which are told as JSON, or images where it makes images,
    which are told as the first metric that knows words for them does.

    Without `likelihoods` (see `zoo.measure.likelihoods`) the metrics that read them give no score. Raises ValueError
    where there are no examples or not one output each.
    """
    if not examples or len(outputs) != len(examples):
        raise ValueError(f"{len(outputs)} outputs for {len(examples)} examples")
    boxes = isinstance(spec, DetectionSpec)
    references = [boxes_as_text(example.boxes) if boxes else example.target for example in examples]
    makes_images = isinstance(spec, GeneratorSpec)
    if makes_images:
        references = [""] * len(examples)  # no image is meant to be any example's
    sources = [example.source for example in examples]
    read: dict[str, Sequence[Any] | None] = {"outputs": outputs, "likelihoods": likelihoods}
    metrics = [chosen.create() for chosen in spec.evaluation.metrics] if metrics is None else metrics
    scored = (
        _scored(chosen, metric, read[metric.reads], examples)
        for chosen, metric in zip(spec.evaluation.metrics, metrics, strict=True)
    )
    shared: dict[str, float]
    if boxes:
        told = [boxes_as_text(output) for output in outputs]
        shared, why = detection_probes(outputs), nothing_found(outputs, [example.boxes for example in examples])
    elif makes_images:
        told, real = _in_words(metrics, outputs, examples), [image_of(example) for example in examples[:LOOKED_AT]]
        shared, why = image_probes(outputs, real), all_alike(outputs, real)
    else:
        told = list(outputs)
        shared, why = collapse_probes(outputs, references), collapsed(outputs, references)
    beside = {f"{m.name}.{name}": value for m in metrics for name, value in m.beside(outputs, examples).items()}
    return Evaluation(
        metrics=tuple(metric for metric in scored if metric is not None),
        probes={**shared, **beside, **(probes or {})},
        collapsed=why,
        samples=_shown(told, references, examples),
        ids=tuple(example.id for example in examples),
        sources=tuple(sources),
        references=tuple(references),
        outputs=tuple(told),
        split=spec.evaluation.split,
    )


def _scored(
    chosen: Chosen, metric: Metric, read: Sequence[Any] | None, examples: Sequence[Example]
) -> ScoredMetric | None:
    if read is None:
        return None
    items = metric.example_items(read, examples)
    return ScoredMetric(chosen.plain(), metric.score_items(items), items, metric.segments(items))


def image_of(example: Example) -> NDArray[np.uint8]:
    """The pixels of an example's image. Raises InputError where it has none."""
    if example.image is None:
        raise InputError(f"example '{example.id}' has no image")
    return example.image.load()


def _in_words(metrics: Sequence[Metric], outputs: Sequence[Any], examples: Sequence[Example]) -> list[str]:
    """What the first metric that knows says of each output; their number where none does."""
    found = (metric.in_words(outputs, examples) for metric in metrics)
    words = next((item for item in found if item is not None), None)
    return [f"image {number}" for number in range(len(outputs))] if words is None else list(words)


def _shown(
    outputs: Sequence[str], references: Sequence[str], examples: Sequence[Example]
) -> tuple[EvaluatedSample, ...]:
    shown = ((examples[i], references[i], outputs[i]) for i in _spread(len(examples)))
    return tuple(EvaluatedSample(e.id, e.source, wanted, output, e.context) for e, wanted, output in shown)


def shown_examples(examples: Sequence[Example]) -> list[Example]:
    """Those that are kept with their outputs for a reader, and that the clocks time: spread evenly over the set, the
    same ones for every model on it, good or bad."""
    return [examples[index] for index in _spread(len(examples))]


def _spread(total: int) -> list[int]:
    count = min(SHOWN_SAMPLES, total)
    return [index * total // count for index in range(count)]
