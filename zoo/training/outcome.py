"""What became of a training run, and its file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from zoo.atomic import write_atomic
from zoo.errors import InputError
from zoo.spec.pretrained import zoo_folder

TRAINING_FILE = zoo_folder.TRAINING_FILE
FORMAT = "zoo.training/1"

Status = Literal["running", "ok", "nan", "oom"]
"""running: not finished, at work or interrupted; nan: a loss or gradient that is not finite; oom: out of memory."""


@dataclass(frozen=True)
class CurvePoint:
    """One logged point. Loss and gradient norm are means over the steps since the last such point."""

    step: int
    loss: float | None = None
    """Training loss per target token, as the objective defines it; a detector's own loss per image."""
    dev_loss: float | None = None
    """Cross-entropy per target token on the development split, in nats, whatever the objective; a detector's loss
    per image."""
    averaged_dev_loss: float | None = None
    """The same of the averaged weights, where the spec averages and has begun to."""
    learning_rate: float | None = None
    gradient_norm: float | None = None
    """Global L2 norm before clipping."""
    clipped_norm: float | None = None
    """Global L2 norm after clipping."""
    clipped_fraction: float | None = None
    """Share of the steps in which clipping changed any gradient."""
    update_clipped_fraction: float | None = None
    """Share of the tensors whose update was scaled down, over the steps; None without update clipping."""
    probes: dict[str, float] = field(default_factory=dict)
    """Scalars of the spec's probes on the development split, by ``<probe>.<name>``."""
    gradients: dict[str, float] = field(default_factory=dict)
    """Of parts of the gradients, by ``<part>.<name>``: `norm` and `clipped_norm` before and after clipping, and where
    the part is clipped on its own the `clipped_fraction` of its steps."""
    losses: dict[str, float] = field(default_factory=dict)
    """The parts of a loss that is a weighted sum of several (a detector's), before they are weighed."""


@dataclass(frozen=True)
class TrainingOutcome:
    """A run's result, as ``training.json`` holds it."""

    status: Status
    error: str | None
    """One line for every status but ok."""
    steps: int
    """Optimizer steps done; for nan, the step that was not finite, counted from 1."""
    total_steps: int
    model_step: int
    """The step whose weights stand in the folder."""
    seconds: float
    """Wall time of training, evaluation and checkpoints included, over all resumptions."""
    tokens_per_second: float | None
    """Real source and target tokens by the time spent in steps."""
    curve: tuple[CurvePoint, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    """Examples, examples left out, device, precision, tokens read, which steps were clipped, what was averaged; in fp16
    `skipped_steps`, those whose gradients overflowed. Where development losses decide: `best`, the step and the value
    of the lowest, and `stopped_early`, the step at which they ended training. Where there were any: `loss_spikes`
    (`zoo.training.watch.spikes`), and `collapsed`, the evaluations whose outputs were (step and why). After a failure:
    the micro-batches at work, as `oom_batch` or `nan_batches` (`zoo.training.watch.suspects`)."""
    steps_per_second: float | None = None
    """Optimizer steps by the same time as the tokens."""
    memory: dict[str, Any] | None = None
    """What the steps took at most, as `zoo.training.watch.step_memory` tells it; None where none was done."""
    directory: Path = Path()


def write_outcome(outcome: TrainingOutcome, folder: Path) -> None:
    """Write ``training.json`` into `folder`, atomically."""
    document = {"format": FORMAT, **asdict(outcome)}
    del document["directory"]
    document["curve"] = [
        {name: value for name, value in asdict(point).items() if value is not None and value != {}}
        for point in outcome.curve
    ]
    write_atomic(folder / TRAINING_FILE, json.dumps(document, indent=1, allow_nan=False) + "\n")


def read_outcome(folder: Path) -> TrainingOutcome | None:
    """The outcome in `folder`, or None where it has none. Raises InputError where the file is damaged."""
    path = folder / TRAINING_FILE
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text())
        if document.pop("format") != FORMAT:
            raise ValueError(f"not of the format {FORMAT}")
        document["curve"] = tuple(CurvePoint(**point) for point in document["curve"])
        return TrainingOutcome(**document, directory=folder)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"not a training outcome ({type(error).__name__}: {error})", where=str(path)) from None
