"""What a run tells while it runs: TensorBoard files and progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from transformers import TrainerCallback

from zoo.tasks.contracts import Progress

FOLDER = "logs"


class TensorBoardLogs(TrainerCallback):  # type: ignore[misc]
    """Writes every logged number under ``logs/``; `tensorboard --logdir` shows it."""

    def __init__(self, run: Path, start: int) -> None:
        self._folder = run / FOLDER
        self._start = start
        self._writer: SummaryWriter | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # What an interrupted run logged past its checkpoint is logged again: purge_step hides the first telling.
        purge = {"purge_step": self._start + 1} if self._start else {}
        self._writer = SummaryWriter(str(self._folder), **purge)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if self._writer is not None:
            for name, value in (logs or {}).items():
                self._writer.add_scalar(f"training/{name}", value, state.global_step)
            self._writer.flush()

    def close(self) -> None:
        """End the file, however the run ended."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class ProgressReport(TrainerCallback):  # type: ignore[misc]
    """Reports each step, with the newest loss."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._stage = "training"

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self._stage = f"training, loss {logs['loss']:.3f}"

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._progress(self._stage, state.global_step, self._total)
