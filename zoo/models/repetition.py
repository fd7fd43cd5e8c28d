"""Constraints on repetition where source and output stand in one sequence."""

from __future__ import annotations

from torch import Tensor
from transformers import LogitsProcessor, NoRepeatNGramLogitsProcessor, RepetitionPenaltyLogitsProcessor


class OfOutput(LogitsProcessor):  # type: ignore[misc]
    """A processor that is shown token ids from `start` on."""

    def __init__(self, processor: LogitsProcessor, start: int) -> None:
        self.processor = processor
        self.start = start

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Token ids so far ``[B, start + T]``, logits ``[B, V]`` -> ``[B, V]``."""
        changed: Tensor = self.processor(input_ids[:, self.start :], scores)
        return changed


def of_output(processor: LogitsProcessor, start: int) -> LogitsProcessor:
    """`processor`, where it looks for repetition, as one that looks from `start` on; else as it is."""
    if isinstance(processor, RepetitionPenaltyLogitsProcessor):
        # Anew: from 5 on transformers' own counts the padding before the prompt.
        return OfOutput(RepetitionPenaltyLogitsProcessor(processor.penalty), start)
    return OfOutput(processor, start) if isinstance(processor, NoRepeatNGramLogitsProcessor) else processor
