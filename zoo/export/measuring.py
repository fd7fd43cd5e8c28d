"""What an export is worth: its outputs scored as the model's are, and timed in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from zoo.errors import InputError
from zoo.export.folder import is_in_torch
from zoo.export.requests import ExportRequest
from zoo.export.runtime.answers import open_export
from zoo.measure.device import default_device
from zoo.measure.evaluate import Evaluation, evaluate, score_outputs
from zoo.measure.oom import free_memory
from zoo.measure.performance import Performance, measure_performance, measure_performances, sent_sources
from zoo.measure.reading import as_read, source_of
from zoo.spec import Spec
from zoo.spec.outputs import outputs_section
from zoo.tasks.contracts import Example, Metric, Progress, silent
from zoo.tasks.images import Source
from zoo.training.loading import Run, load_run

TOGETHER = 16
"""Batches of sources that are given at once, between two reports of progress."""


def evaluate_export(
    spec: Spec,
    folder: Path,
    run: Run,
    examples: Sequence[Example],
    *,
    metrics: Sequence[Metric] | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Have the export in `folder`, made of `run`, answer every example and score that, `metrics` as in
    `zoo.measure.evaluate`.

    Metrics that read likelihoods give no score: what runs an export shows none. Nor are probes read off it. One that
    torch runs is evaluated as a model is, on its device.
    """
    if is_in_torch(folder):
        own = load_run(folder)
        model = own.model.to(default_device()).eval()
        return evaluate(model, own.tokenizers, examples, spec, metrics=metrics, progress=progress)
    runner = open_export(folder, threads=torch.get_num_threads())
    size = outputs_section(spec).batch_size * TOGETHER
    sources = [source_of(example) for example in as_read(run.model, run.tokenizers, examples, spec)]
    outputs: list[Any] = []
    tokens, unfinished, counted = 0, 0, False
    for start in range(0, len(sources), size):
        found = runner.answer(sources[start : start + size])
        outputs += found.outputs
        counted |= found.tokens is not None
        tokens, unfinished = tokens + (found.tokens or 0), unfinished + found.unfinished
        progress("generate", len(outputs), len(examples))
    probes = {}
    if counted:
        probes = {
            "generated_tokens_per_output": tokens / len(examples),
            "unfinished_share": unfinished / len(examples),
        }
    return score_outputs(outputs, examples, spec, metrics=metrics, probes=probes)


def measure_export(folder: Path, sources: Sequence[Source], spec: Spec, *, progress: Progress = silent) -> Performance:
    """Everything that `spec.measurement` asks for, of the export in `folder`, on the CPU; of one that torch runs on its
    device, as of any model. Errors are those of `zoo.measure.performance.measure_performance`."""
    if is_in_torch(folder):
        free_memory()  # of what was evaluated here: other processes measure
        return measure_performance(folder, sources, spec, progress=progress)
    request = ExportRequest(
        directory=folder,
        sentences=sent_sources(sources),
        measurement=spec.measurement,
        device="cpu",
        threads=torch.get_num_threads(),
    )
    return measure_performances([request], progress=progress)[0]


def refuse_unexportable(spec: Spec, model: Any) -> None:
    """Raise InputError where the exporter of `spec` cannot say the model of its kind that `model` is, trained or not.

    Asked before training, which may take days.
    """
    assert spec.export is not None
    try:
        spec.export.create().refuse(model)
    except InputError as error:
        raise InputError(f"export: {error}") from None
