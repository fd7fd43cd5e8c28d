"""The folder of one cell: what its parent asks, what its process answers, and the run in between."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.atomic import locked, write_atomic
from zoo.bench.cell import Job
from zoo.bench.outcome import Outcome
from zoo.bench.outputs import is_whole
from zoo.errors import ZooError

PATIENCE = 20.0
"""Seconds that the process of a killed parent is given to notice and let go of the folder."""


class Request(BaseModel):
    """What a cell's process is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: Job
    spec: dict[str, Any]
    home: str = Field(description="Root of the data home")
    store: str = Field(description="Folder of the records, whose repository the environment names")
    threads: int = Field(ge=1)
    processes: int = Field(default=1, ge=1, description="Processes that train together")
    again_since: str | None = Field(default=None, description="Record id: what ended before is made anew")
    begun: str | None = Field(default=None, description="Record id of when this and other cells were asked for")


@dataclass(frozen=True)
class WorkFolder:
    """Paths and messages of one cell's folder."""

    path: Path

    @property
    def run(self) -> Path:
        """The folder of `zoo train` or `zoo build`: a killed attempt leaves it, the next one continues it."""
        return self.path / "run"

    @property
    def outputs(self) -> Path:
        """What each example gave, on its way to its place beside the record."""
        return self.path / "outputs.parquet"

    @property
    def log(self) -> Path:
        return self.path / "cell.log"

    @contextmanager
    def held(self, patience: float | None = PATIENCE) -> Iterator[int]:
        """Hold the folder's lock and yield its descriptor; a process that inherits it holds the lock too.

        The system lets go when the last holder is gone, however it ended. Raises ZooError where it is held for longer
        than `patience` seconds; without them the wait has no end.
        """
        with ExitStack() as stack:
            try:
                # Beside the folder, so that the folder may be removed under it.
                descriptor = stack.enter_context(locked(self.path.with_suffix(".lock"), patience))
            except TimeoutError:
                raise ZooError(f"another process is at work on this cell ({self.path})") from None
            yield descriptor

    def clear_if_recorded(self, holds: Callable[[str], bool]) -> None:
        """Remove what an attempt left that is on record: only one that was cut short is continued.

        `holds` says whether the store has the record of an id: a process killed between `mark_recorded` and the record
        itself leaves its outcome to be recorded.
        """
        if not self._recorded.exists():
            return
        if self.read_outcome() is None or holds(self._recorded.read_text()):
            shutil.rmtree(self.path)

    def mark_recorded(self, record: str) -> None:
        """Note, just before the record is written, under which id the folder's attempt will be on record."""
        write_atomic(self._recorded, record)

    def write_request(self, request: Request) -> None:
        write_atomic(self.path / "request.json", request.model_dump_json(indent=1))

    def read_request(self) -> Request:
        return Request.model_validate_json((self.path / "request.json").read_bytes())

    def write_outcome(self, outcome: Outcome) -> None:
        write_atomic(self._outcome, outcome.model_dump_json())

    def read_outcome(self) -> Outcome | None:
        """The outcome, or None where the process did not live to write one (or an older version of zoo wrote it)."""
        try:
            outcome = Outcome.model_validate_json(self._outcome.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return outcome if outcome.outputs is None or is_whole(self.outputs, outcome.outputs) else None

    def drop_outcome(self) -> None:
        """Forget the answer to an earlier request."""
        self._outcome.unlink(missing_ok=True)
        self.outputs.unlink(missing_ok=True)

    def last_log_line(self) -> str:
        """The last thing that was said, for the error of a process that ended without an outcome."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:500] if lines else "it wrote nothing"

    @property
    def _outcome(self) -> Path:
        return self.path / "outcome.json"

    @property
    def _recorded(self) -> Path:
        return self.path / "recorded"
