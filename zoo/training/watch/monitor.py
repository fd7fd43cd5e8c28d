"""What a run shows of itself: the curve, and the moment when a number stops being finite."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from zoo.training.contracts import Clipped
from zoo.training.data.batching import MicroBatch
from zoo.training.outcome import CurvePoint
from zoo.training.watch.clipped_steps import ClippedSteps
from zoo.training.watch.spikes import Spikes

_Part = tuple[Tensor, MicroBatch]
"""A micro-batch and its share of its step's loss."""

_LOSS, _NORM, _CLIPPED_NORM, _CLIPPED = "loss", "gradient_norm", "clipped_norm", "clipped_fraction"
_WHOLE = (_LOSS, _NORM, _CLIPPED_NORM, _CLIPPED)
"""What is told of all gradients together; the other numbers of a step are about a part of them."""
_EARLIER = (_LOSS, _NORM, _CLIPPED)
"""What versions before told of a step, in checkpoints that they left."""

MOST_SKIPPED = 20
"""Steps in a row that a scaler may skip. It begins with a scale of 2^16, and halves it each time."""

_TERM = "loss."
"""Begins the names of the parts of a loss."""

Row = dict[str, float]


class NotFiniteError(Exception):
    """The loss or the gradient norm of optimizer step `step` (counted from 1) was not finite.

    `suspects` are this process's micro-batches whose losses were not; where all were, those of the step.
    """

    def __init__(self, step: int, what: str, value: float, suspects: Sequence[MicroBatch] = ()) -> None:
        self.step = step
        self.suspects = tuple(suspects)
        super().__init__(f"the {what} of step {step} is {value}")


class Monitor:
    """Collects one loss, gradient norm and clipping per optimizer step, and averages them into curve points.

    On a GPU the numbers stay on the device until `flush`, so that steps do not wait for it; on a CPU each step is
    checked before the optimizer uses its gradients. Where the loss is scaled (`skips`), a step whose gradients are not
    finite is skipped by the scaler, and bad only where `MOST_SKIPPED` others came just before it. Where several
    processes train together, `summed` adds up a tensor over them: each has a share of the loss, and all come to the
    same numbers, and to the same end.
    """

    def __init__(
        self,
        device: torch.device,
        summed: Callable[[Tensor], Tensor] = lambda numbers: numbers,
        *,
        skips: bool = False,
    ) -> None:
        self.curve: list[CurvePoint] = []
        self.tokens = 0
        """Real source and target tokens seen."""
        self._device = device
        self._summed = summed
        self._skips = skips
        self._skipped_at: list[int] = []
        self._loss = torch.zeros((), device=device)
        self._terms: dict[str, Any] = {}  # of the present step, each times its images
        self._term_images = 0
        self._parts: list[_Part] = []  # of the present step
        self._waiting_parts: list[list[_Part]] = []  # per step
        self.spikes = Spikes()
        self._waiting: list[tuple[tuple[str, ...], Tensor]] = []  # per step, names [N] and numbers [N], the loss first
        self._window: list[Row] = []
        self._updates: list[Tensor] = []
        self._update_window: list[float] = []
        self._steps = ClippedSteps()
        self._done = 0
        self._paused = 0.0
        self._before = 0.0
        self._begun = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time of the run, earlier parts of a resumed one included."""
        return self._before + time.perf_counter() - self._begun

    @property
    def tokens_per_second(self) -> float | None:
        """Real tokens by the time in steps: evaluation and checkpoints left out."""
        stepping = self.seconds - self._paused
        return self.tokens / stepping if self.tokens and stepping > 0 else None

    @property
    def steps_per_second(self) -> float | None:
        """Optimizer steps by the same time."""
        stepping = self.seconds - self._paused
        return self._done / stepping if self._done and stepping > 0 else None

    def start(self) -> None:
        """Begin to count time."""
        self._begun = time.perf_counter()

    def paused(self, seconds: float) -> None:
        """Take `seconds` out of the time spent in steps."""
        self._paused += seconds

    def micro_batch(self, loss: Tensor, tokens: int, examples: MicroBatch | None = None) -> None:
        """Add a micro-batch's share of its step's loss (a detached scalar), and the tokens that all processes saw.

        `examples` are named where the loss turns out not to be finite.
        """
        self._loss = self._loss + loss
        self.tokens += tokens
        if examples is not None:
            self._parts.append((loss, examples))

    def losses(self, parts: Mapping[str, Tensor], images: int) -> None:
        """Add the parts ``[]`` of a loss that is a sum of several, of a micro-batch of so many images.

        Told of this process's micro-batches alone.
        """
        for name, value in parts.items():
            self._terms[name] = self._terms.get(name, 0.0) + value.detach().to(self._loss) * images
        self._term_images += images

    def gradients(self, clipped: Clipped, parts: Mapping[str, Tensor] | None = None) -> None:
        """Close the numbers of a step, before the optimizer moves. Raises NotFiniteError (on a CPU at once).

        `parts` are scalars ``[]`` about some of the gradients, by name.
        """
        told = (self._loss, clipped.norm, clipped.clipped_norm, clipped.clipped)
        named = dict(zip(_WHOLE, told, strict=True))
        for name, group in clipped.groups.items():
            named |= {
                f"{name}.norm": group.norm,
                f"{name}.{_CLIPPED_NORM}": group.clipped_norm,
                f"{name}.{_CLIPPED}": group.clipped,
            }
        named |= parts or {}
        named |= {f"{_TERM}{name}": value / self._term_images for name, value in self._terms.items()}
        self._terms, self._term_images = {}, 0
        numbers = torch.stack([value.to(self._loss) for value in named.values()])  # [N]
        self._waiting.append((tuple(named), numbers))
        self._waiting_parts.append(self._parts)
        self._parts = []
        self._loss = torch.zeros((), device=self._device)
        if self._device.type == "cpu":
            self.flush()

    def updated(self, clipped_fraction: Tensor) -> None:
        """What share ``[]`` of the tensors had its update clipped, after the optimizer has moved."""
        self._updates.append(clipped_fraction)

    def flush(self) -> None:
        """Wait for the device; check every step since the last flush. Raises NotFiniteError for the first bad one."""
        if self._updates:
            self._update_window += torch.stack(self._updates).tolist()
            self._updates.clear()
        if not self._waiting:
            return
        names = [step for step, _ in self._waiting]
        # The gradients, and so their norms, are everyone's already.
        losses = self._summed(torch.stack([numbers[0] for _, numbers in self._waiting]))  # [steps]
        values = iter(torch.cat([losses, *(numbers[1:] for _, numbers in self._waiting)]).tolist())
        self._waiting.clear()
        rows: list[Row] = [{_LOSS: next(values)} for _ in names]
        for row, step in zip(rows, names, strict=True):
            row.update({name: next(values) for name in step[1:]})
        step_parts, self._waiting_parts = self._waiting_parts, []
        for row, parts_of_step in zip(rows, step_parts, strict=True):
            self._done += 1
            if self._skipped(row):
                self._window.append({_LOSS: row[_LOSS]})
                continue
            for what, value in (("loss", row[_LOSS]), ("gradient norm", row[_NORM])):
                if not math.isfinite(value):
                    raise NotFiniteError(self._done, what, value, _suspects(parts_of_step, what == "loss"))
            self.spikes.add(self._done, row[_LOSS])
            suffix = f".{_CLIPPED}"
            groups = {name.removesuffix(suffix): bool(hit) for name, hit in row.items() if name.endswith(suffix)}
            self._steps.add(self._done, bool(row[_CLIPPED]), groups)
            self._window.append(row)

    def _skipped(self, row: Row) -> bool:
        """Whether the scaler leaves out the present step, and may."""
        if not self._skips or math.isfinite(row[_NORM]) or not math.isfinite(row[_LOSS]):
            return False
        self._skipped_at.append(self._done)
        return self._skipped_at[-MOST_SKIPPED - 1 :] != list(range(self._done - MOST_SKIPPED, self._done + 1))

    def skipping_facts(self) -> dict[str, Any]:
        """``skipped_steps``: how many were, and the last of them; nothing where nothing can be."""
        if not self._skips:
            return {}
        last = self._skipped_at[-1] if self._skipped_at else None
        return {"skipped_steps": {"count": len(self._skipped_at), "last": last}}

    def point(self, learning_rate: float) -> CurvePoint:
        """Average the steps since the last point into a new one; each number over the steps that have it."""
        self.flush()
        means: Row = {} if self._window else dict.fromkeys(_EARLIER, 0.0)
        for name in dict.fromkeys(name for row in self._window for name in row):
            found = [row[name] for row in self._window if name in row]
            means[name] = sum(found) / len(found)
        self._window.clear()
        whole = {name: means.pop(name) for name in _WHOLE if name in means}
        losses = {name.removeprefix(_TERM): means.pop(name) for name in list(means) if name.startswith(_TERM)}
        if self._update_window:
            whole["update_clipped_fraction"] = sum(self._update_window) / len(self._update_window)
            self._update_window.clear()
        return self._noted(learning_rate=learning_rate, gradients=means, losses=losses, **whole)

    def clipping_facts(self) -> dict[str, Any]:
        """Which steps were clipped, as `ClippedSteps.facts` says it."""
        return self._steps.facts()

    def evaluated(self, dev_loss: float, averaged: float | None = None) -> None:
        """Add a development loss at the present step, and that of the averaged weights."""
        self.flush()
        self._noted(dev_loss=dev_loss, averaged_dev_loss=averaged)

    def probed(self, scalars: Mapping[str, float]) -> None:
        """Add what probes found at the present step."""
        self.flush()
        self._noted(probes=dict(scalars))

    def _noted(self, **values: Any) -> CurvePoint:
        """The present step's point, with these values."""
        if not self.curve or self.curve[-1].step != self._done:
            self.curve.append(CurvePoint(self._done))
        self.curve[-1] = replace(self.curve[-1], **values)
        return self.curve[-1]

    def state(self) -> dict[str, Any]:
        """For a checkpoint. Raises NotFiniteError where a step since the last flush was bad."""
        self.flush()
        return {
            "curve": [asdict(point) for point in self.curve],
            "window": [dict(row) for row in self._window],
            "update_window": list(self._update_window),
            "steps": self._steps.state(),
            "spikes": self.spikes.state(),
            "skipped": list(self._skipped_at),
            "done": self._done,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "paused": self._paused,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.curve = [CurvePoint(**point) for point in state["curve"]]
        self._window = [
            row if isinstance(row, dict) else dict(zip(_EARLIER, row, strict=True)) for row in state["window"]
        ]
        self._update_window = list(state.get("update_window", ()))
        if "steps" in state:
            self._steps.load_state(state["steps"])
        if "spikes" in state:
            self.spikes.load_state(state["spikes"])
        self._skipped_at = list(state.get("skipped", ()))
        self._done = state["done"]
        self.tokens = state["tokens"]
        self._before, self._paused = state["seconds"], state["paused"]


def _suspects(parts: Sequence[_Part], lost: bool) -> list[MicroBatch]:
    """The micro-batches whose losses are not finite; all, where all are and something else, not a loss, was not."""
    found = [examples for loss, examples in parts if not math.isfinite(float(loss))]
    return found if found or lost else [examples for _, examples in parts]
