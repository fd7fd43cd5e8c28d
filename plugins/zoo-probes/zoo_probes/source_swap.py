"""Whether the model reads its source at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from zoo.probes.batches import MeanLoss, log_probabilities_of, target_logits
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult
from zoo.tasks import Example


class SourceSwap(Probe):
    """How much the loss of the references rises when each is given another example's source.

    ``difference`` = swapped loss - loss, in nats per target token, over one cyclic permutation of the sample's sources
    (drawn uniformly, Sattolo's algorithm: no example keeps its own). Near 0 the model writes without looking at its
    source, which is what collapse looks like from inside; a model that translates loses nats. The idea is that of
    contrastive and shuffled-context controls (Li et al. 2020, arXiv:2005.03393, section 3).
    """

    def measure(self, context: ProbeContext) -> ProbeResult:
        examples = context.examples
        if len(examples) < 2:
            return ProbeResult()
        order = cyclic_permutation(len(examples), context.generator)
        swapped = [
            replace(example, source=examples[other].source) for example, other in zip(examples, order, strict=True)
        ]
        own, others = self._loss(context, examples), self._loss(context, swapped)
        return ProbeResult({"loss": own, "swapped_loss": others, "difference": others - own})

    def _loss(self, context: ProbeContext, examples: Sequence[Example]) -> float:
        loss = MeanLoss(log_probabilities=log_probabilities_of(context.model))
        for batch in context.batches(examples):
            loss.add(target_logits(context.model, batch), batch.labels)
        return loss.value


def cyclic_permutation(count: int, generator: torch.Generator) -> list[int]:
    """A permutation of one cycle, uniform among those (Sattolo 1986): for 2 or more no place maps to itself."""
    order = list(range(count))
    for last in range(count - 1, 0, -1):
        other = int(torch.randint(last, (), generator=generator))
        order[last], order[other] = order[other], order[last]
    return order
