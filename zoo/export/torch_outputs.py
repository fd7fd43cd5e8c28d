"""What a model in torch gives of sources, as its spec has it: beside which exports are held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.export.plain import PlainRun
from zoo.measure.detecting import detect_all
from zoo.measure.generation import generate_outputs
from zoo.models.decoding import redecoded
from zoo.spec.detection_spec import DetectionSpec
from zoo.tasks.contracts import Progress
from zoo.training.loading import Run


def outputs_in_torch(run: Run | PlainRun, sources: Sequence[Any], width: int | None, progress: Progress) -> list[Any]:
    """Texts, decoded as the spec decodes or by a search of another `width`; or the boxes that are found. Raises
    InputError where no width fits the spec's decoding."""
    if isinstance(run.spec, DetectionSpec):
        return list(detect_all(run.model, sources, run.spec.detection, progress))
    decoding = redecoded(run.spec.decoding, width=width)
    limit = run.model.source_limit(decoding.max_new_tokens)
    made = generate_outputs(run.model, run.tokenizers, sources, decoding, max_source_tokens=limit, progress=progress)
    return list(made.outputs)
