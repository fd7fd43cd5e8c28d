"""One line of progress on a terminal; nothing anywhere else."""

from __future__ import annotations

import shutil
import sys
import time

_BETWEEN = 0.1
"""Seconds between redraws of a stage."""


class TerminalProgress:
    """A `zoo.tasks.contracts.Progress` that redraws one line of standard error; use it as a context manager."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._drawn = 0.0
        self._begun = time.monotonic()
        self._first = 0
        self._stage = ""
        self._open = False

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end_line()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` (0: unknown) of `stage` are through. What follows a comma is detail."""
        if not self._shown:
            return
        now = time.monotonic()
        name = stage.partition(",")[0]
        if name != self._stage:
            self.end_line()
            self._stage, self._begun, self._first, self._drawn = name, now, done, 0.0
        if now - self._drawn < _BETWEEN and done != total:
            return
        self._drawn, self._open = now, True
        sys.stderr.write(f"\r\x1b[K{self._line(stage, done, total, now)}")
        sys.stderr.flush()

    def _line(self, stage: str, done: int, total: int, now: float) -> str:
        if not total:
            return f"{stage} {done or '...'}"
        left = (now - self._begun) / (done - self._first) * (total - done) if done > self._first else 0.0
        text = f" {done}/{total} {stage}" + (f", {left:.0f} s left" if left >= 1 else "")
        width = min(30, max(0, shutil.get_terminal_size().columns - len(text) - 3))
        filled = width * done // total
        return f"[{'#' * filled}{'.' * (width - filled)}]{text}"

    def end_line(self) -> None:
        """Leave what stands there, so that other output begins on a line of its own."""
        if self._open:
            sys.stderr.write("\n")
            self._open = False
