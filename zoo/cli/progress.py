"""Progress on a terminal; silence everywhere else."""

from __future__ import annotations

import sys


class ProgressLine:
    """One line of stderr that is rewritten: give the instance wherever a `Progress` is asked for."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        if self._stage and stage != self._stage:
            sys.stderr.write("\n")
        share = f" {100 * done // total:3d}% ({done}/{total})" if total else f" {done}" if done else " ..."
        sys.stderr.write(f"\r\x1b[K{stage}{share}")
        sys.stderr.flush()
        self._stage = stage

    def close(self) -> None:
        """Leave the line, so that what follows starts on its own."""
        if self._stage:
            sys.stderr.write("\n")
            self._stage = ""
