"""The batches that the development loss of a spec's models is taken over."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zoo.spec import Spec
from zoo.tasks import DataHome, Example
from zoo.tasks.contracts import Progress, silent
from zoo.training.data.collate import Batch
from zoo.training.data.layouts import SplitData, layout_of
from zoo.training.data.loader import batches_for
from zoo.training.preparation import Prepared

DEV_EXAMPLES = 1000
"""The development loss is taken over at most this many examples: it is a signal, not a score."""


def split_data(
    spec: Spec,
    prepared: Prepared,
    split: str,
    examples: Callable[[], Sequence[Example]],
    home: DataHome,
    progress: Progress = silent,
) -> SplitData:
    """`examples` of a spec's task, as a layout encodes them; `split` names them, a part after a hyphen."""
    # What names the examples of the task, for encoded ones that are kept.
    name = f"{prepared.task.revision} {json.dumps(spec.task.plain(), sort_keys=True)}"
    return SplitData(home, name, split, examples, prepared.tokenizers, spec.training.max_tokens, progress)


def _first(prepared: Prepared) -> Sequence[Example]:
    return prepared.task.examples("dev")[:DEV_EXAMPLES]


def development_batches(
    spec: Spec, prepared: Prepared, model: Any, home: DataHome, progress: Progress = silent
) -> Callable[[], Iterable[Batch]]:
    """Batches of the first `DEV_EXAMPLES` examples of the development split, the same at each call."""
    layout = layout_of(model)
    examples = layout.encoded(
        split_data(spec, prepared, f"dev-first-{DEV_EXAMPLES}", lambda: _first(prepared), home, progress)
    )
    collate = layout.collator(examples, model.config)
    batches = batches_for(examples, spec.training.batch_tokens, 0, layout=layout).micro_batches(0)
    return lambda: map(collate, batches)
