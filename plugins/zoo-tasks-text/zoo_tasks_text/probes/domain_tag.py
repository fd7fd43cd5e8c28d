"""Whether a domain tag steers the model, or is a token like any other."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.measure.generation import generate_outputs
from zoo.measure.reading import source_of
from zoo.probes.batches import MeanLoss, log_probabilities_of, target_logits
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.spec.sections import Spec
from zoo.tasks import Example, Metric
from zoo.tasks.fitting import fitted
from zoo_tasks_text.probes.options import DomainTagOptions
from zoo_tasks_text.tasks.tags import EVALUATION_TAGS, known_tags, tag_of, with_tag


class DomainTag(Probe):
    """The same sentences under four tags: their own domain's, another's, any (their own among them), none.

    ``<tag>_loss`` is the references' loss in nats per target token, ``<tag>_<metric>`` what the spec's metrics make of
    what the model writes, and ``steering_<metric>`` = correct - random, turned so that more is better; so is
    ``steering_loss`` = random loss - correct loss. Near 0 the tag does nothing. The loss without a tag is what a model
    that always had one in training pays for going without: `untagged` examples in training keep it low (Kobus, Crego
    and Senellart 2017, arXiv:1612.06140, section 4; for politeness Sennrich, Haddow and Birch 2016).

    Of the sample, examples count whose domain has a tag: one of the task's, in the tokenizer's vocabulary. The wrong
    and the random tag are those that the task's `evaluation_tag` gives the example. Empty where there are fewer than
    two tags, or no such example.
    """

    options: DomainTagOptions

    def measure(self, context: ProbeContext) -> ProbeResult:
        known = known_tags(context.tokenizers.source.convert_ids_to_tokens(sorted(context.tag_ids)))
        examples = [example for example in context.examples if example.domain and tag_of(example.domain) in known]
        if len(known) < 2 or not examples:
            return ProbeResult()
        under = {kind: [with_tag(example, known, kind) for example in examples] for kind in EVALUATION_TAGS}
        table = {"loss": {kind: self._loss(context, tagged) for kind, tagged in under.items()}}
        units, better = {"loss": "nats per target token"}, {"loss": -1.0}
        if self.options.outputs and context.spec is not None:
            outputs = {kind: _outputs(context, context.spec, tagged) for kind, tagged in under.items()}
            for metric in _metrics(context.spec):
                units[metric.name] = metric.unit
                better[metric.name] = 1.0 if metric.direction == "higher" else -1.0
                table[metric.name] = {
                    kind: metric.score_items(metric.example_items(outputs[kind], tagged)).value
                    for kind, tagged in under.items()
                }
        scalars = {f"{kind}_{name}": value for name, values in table.items() for kind, value in values.items()}
        scalars |= {
            f"steering_{name}": better[name] * (values["correct"] - values["random"]) for name, values in table.items()
        }
        scalars["examples"] = float(len(examples))
        series = {
            name: Series("tag", units[name], EVALUATION_TAGS, {name: tuple(values.values())})
            for name, values in table.items()
        }
        return ProbeResult(scalars, series)

    def _loss(self, context: ProbeContext, examples: Sequence[Example]) -> float:
        loss = MeanLoss(log_probabilities=log_probabilities_of(context.model))
        for batch in context.batches(examples):
            loss.add(target_logits(context.model, batch), batch.labels)
        return loss.value


def _outputs(context: ProbeContext, spec: Spec, examples: Sequence[Example]) -> Sequence[str]:
    limit = context.model.source_limit(spec.decoding.max_new_tokens)
    sources = [source_of(example) for example in fitted(context.tokenizers.source, examples, limit)]
    return generate_outputs(context.model, context.tokenizers, sources, spec.decoding, max_source_tokens=limit).outputs


def _metrics(spec: Spec) -> list[Metric]:
    """The spec's metrics that score outputs by these and the examples alone."""
    built: list[Metric] = [chosen.create() for chosen in spec.evaluation.metrics]
    return [metric for metric in built if metric.reads == "outputs" and not metric.learns]
