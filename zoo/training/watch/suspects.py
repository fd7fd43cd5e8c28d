"""The micro-batches that a failure came of, told so that they can be found again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from zoo.spec.training_section import TrainingSection
from zoo.training.data.batching import Batches, MicroBatch

MOST_EXAMPLES, MOST_BATCHES = 256, 8
"""More are not listed: `rows` and `tokens` are of all."""
_SIDES = "source_length", "target_length", "context_length"


def described(batch: MicroBatch, batches: Batches) -> dict[str, Any]:
    """A micro-batch as a run's facts hold it.

    Its rows, the tokens of the longest row on each side (`length`, where both stand in one row) and of all, and the
    numbers of its examples: those of the training split, from 0, the ones that are left out not counted.
    """
    sides = [side[batch.indices] for side in batches.lengths]
    names = ("length",) if len(sides) == 1 else _SIDES[: len(sides)]
    return {
        "rows": len(batch),
        **{name: batch.widths(side) for name, side in zip(names, sides, strict=True)},
        "tokens": sum(int(side.sum()) for side in sides),
        "examples": batch.indices[:MOST_EXAMPLES].tolist(),
    }


def all_described(found: Iterable[MicroBatch], batches: Batches) -> list[dict[str, Any]]:
    """The first of several."""
    return [described(batch, batches) for batch in list(found)[:MOST_BATCHES]]


def in_words(told: dict[str, Any]) -> str:
    """``a micro-batch of 12 rows (source_length 31, target_length 40)``."""
    lengths = ", ".join(f"{name} {value}" for name, value in told.items() if name.endswith("length"))
    return f"a micro-batch of {told['rows']} row{'' if told['rows'] == 1 else 's'} ({lengths})"


def remedy(told: dict[str, Any] | None, section: TrainingSection, *, images: str | None = None) -> str:
    """What to change where memory did not suffice for a micro-batch (or, where None, for something else). `images` is
    the key of the spec that says how large a model's images are."""
    if told is not None and told["rows"] == 1 and images:
        lower = f"have {images} make smaller images: the row is one alone"
    elif told is not None and told["rows"] == 1:
        lower = f"lower training.max_tokens (now {section.max_tokens}): the row is one alone"
    else:
        lower = f"lower training.batch_tokens (now {section.batch_tokens})"
    return lower if section.gradient_checkpointing else f"{lower}, or set training.gradient_checkpointing"
