"""What training looks at, before it begins, in the splits that it does not learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome, Example, Split
from zoo.tasks.contracts import Progress, silent
from zoo.training.data.development import split_data
from zoo.training.data.layouts import Layout
from zoo.training.data.ragged import Encoded
from zoo.training.preparation import Prepared

HELD_OUT: tuple[Split, ...] = ("dev", "test")


def refuse_unreadable(layout: Layout[Any], model: Any, prepared: Prepared) -> None:
    """Raise InputError where dev or test have an example that the model cannot read: an evaluation would say so after
    hours of training."""
    for split in HELD_OUT:
        layout.refuse_unreadable(model, split, _examples(prepared, split))


def idle_shares(
    layout: Layout[Any],
    train: Encoded,
    spec: Spec,
    prepared: Prepared,
    home: DataHome,
    progress: Progress = silent,
) -> dict[str, float] | None:
    """The share of each split's examples that add nothing to a loss, and that no training teaches to write; None where
    the model has no such. A split of which nothing is within ``training.max_tokens`` is left out."""
    found: dict[str, int | None] = {}
    sizes: dict[str, int] = {}
    found["train"], sizes["train"] = layout.idle(train), len(train)
    if found["train"] is None:
        return None
    for split in HELD_OUT:
        with suppress(InputError):
            data = split_data(spec, prepared, split, _examples(prepared, split), home, progress)
            examples = layout.encoded(data)
            found[split], sizes[split] = layout.idle(examples), len(examples)
    return {split: round((count or 0) / sizes[split], 6) for split, count in found.items()}


def _examples(prepared: Prepared, split: Split) -> Callable[[], Sequence[Example]]:
    return partial(prepared.task.examples, split)
