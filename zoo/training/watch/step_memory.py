"""The most memory that the steps of training take, without what is done between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from zoo.measure.memory import begin_peak, give_back_memory, peak_resident_bytes, resident_bytes


class StepMemory:
    """Told of every step, and of every time that steps pause; the peak between the two is what counts.

    On a CUDA device this is the sum of live tensors, else the resident set of the whole process. That holds libraries
    and data too, so what was there before the first step is noted, after memory that was freed is given back.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cuda = device.type == "cuda"
        self._stepping = False
        self._of_steps = True
        """Whether the system can leave out what is done between steps."""
        self._before: int | None = None
        self._peak: int | None = None
        self._reserved: int | None = None

    def step(self) -> None:
        """A step begins."""
        if self._stepping:
            return
        self._stepping = True
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
            now = torch.cuda.memory_allocated(self._device)
        else:
            self._of_steps &= begin_peak()
            now = resident_bytes()
        if self._before is None:
            self._before = now

    def pause(self) -> None:
        """Something else is done now, until the next step."""
        if not self._stepping:
            return
        self._stepping = False
        if self._cuda:
            # The reserve is that of the whole run: what an evaluation took is kept for the steps.
            self._reserved = max(self._reserved or 0, torch.cuda.max_memory_reserved(self._device))
            peak = torch.cuda.max_memory_allocated(self._device)
        else:
            peak = peak_resident_bytes()
        self._peak = max(self._peak or 0, peak)

    def give_back(self) -> None:
        """Let nothing that is freed by now stand in the next steps' peak, or hide in it."""
        if not self._cuda:
            give_back_memory()

    def facts(self) -> dict[str, Any] | None:
        """`kind`, `peak`, `before` and `reserved`, as `zoo.bench.record.TrainingMemory` has them; None without a step.

        Steps pause by this.
        """
        self.pause()
        if self._peak is None:
            return None
        if self._cuda:
            return {
                "kind": "cuda-allocated",
                "peak": self._peak,
                "before": self._before,
                "reserved": self._reserved,
            }
        if not self._of_steps:
            return {"kind": "rss-process", "peak": self._peak}
        return {"kind": "rss", "peak": self._peak, "before": self._before}

    def state(self) -> dict[str, Any]:
        """For a checkpoint, which is written between steps."""
        return {
            "before": self._before,
            "peak": self._peak,
            "reserved": self._reserved,
            "of_steps": self._of_steps,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken. What was there before the first step is not asked again: now moments are."""
        self._before, self._peak, self._reserved = state["before"], state["peak"], state["reserved"]
        self._of_steps &= state["of_steps"]
