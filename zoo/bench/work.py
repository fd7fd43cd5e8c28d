"""The folder of one cell: what its parent asks, what its process answers, and the run in between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.atomic import write_atomic
from zoo.bench.outcome import Outcome

Job = Literal["model", "copy", "untrained"]
"""Train and measure a model, or score one of the two controls."""
BASELINES: tuple[Job, ...] = ("copy", "untrained")

BUSY = 75
"""Exit status of a cell's process where another one is at work in the folder."""


class Request(BaseModel):
    """What a cell's process is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: Job
    spec: dict[str, Any]
    home: str = Field(description="Root of the data home")
    store: str = Field(description="Folder of the records, whose repository the environment names")
    threads: int = Field(ge=1)


@dataclass(frozen=True)
class WorkFolder:
    """Paths and messages of one cell's folder."""

    path: Path

    @property
    def run(self) -> Path:
        """The folder of `zoo train` or `zoo build`: a killed attempt leaves it, the next one continues it."""
        return self.path / "run"

    @property
    def log(self) -> Path:
        return self.path / "cell.log"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    def write_request(self, request: Request) -> None:
        write_atomic(self.path / "request.json", request.model_dump_json(indent=1))

    def read_request(self) -> Request:
        return Request.model_validate_json((self.path / "request.json").read_bytes())

    def write_outcome(self, outcome: Outcome) -> None:
        write_atomic(self._outcome, outcome.model_dump_json())

    def read_outcome(self) -> Outcome | None:
        """The outcome, or None where the process did not live to write one (or an older version of zoo wrote it)."""
        try:
            return Outcome.model_validate_json(self._outcome.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def drop_outcome(self) -> None:
        self._outcome.unlink(missing_ok=True)

    def last_log_line(self) -> str:
        """The last thing that was said, for the error of a process that ended without an outcome."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:500] if lines else "it wrote nothing"

    @property
    def _outcome(self) -> Path:
        return self.path / "outcome.json"
