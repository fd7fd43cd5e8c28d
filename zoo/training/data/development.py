"""The batches that the development loss of a spec's models is taken over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, silent
from zoo.training.data.collate import Batch
from zoo.training.data.encoded import encoded_pairs
from zoo.training.data.layouts import layout_of
from zoo.training.data.loader import batches_for
from zoo.training.preparation import Prepared

DEV_EXAMPLES = 1000
"""The development loss is taken over at most this many examples: it is a signal, not a score."""


def data_name(spec: Spec, prepared: Prepared) -> str:
    """What names the examples of a spec's task, for encoded ones that are kept."""
    return f"{prepared.task.revision} {json.dumps(spec.task.plain(), sort_keys=True)}"


def development_batches(
    spec: Spec, prepared: Prepared, model: Any, home: DataHome, progress: Progress = silent
) -> Callable[[], Iterable[Batch]]:
    """Batches of the first `DEV_EXAMPLES` examples of the development split, the same at each call."""
    pairs = encoded_pairs(
        home,
        data_name(spec, prepared),
        f"dev-first-{DEV_EXAMPLES}",
        prepared.tokenizers,
        lambda: prepared.task.examples("dev")[:DEV_EXAMPLES],
        spec.training.max_tokens,
        progress,
        "encoding dev",
    )
    layout = layout_of(model)
    collate = layout.collator(pairs, model.config)
    batches = batches_for(pairs, spec.training.batch_tokens, 0, layout=layout).micro_batches(0)
    return lambda: map(collate, batches)
