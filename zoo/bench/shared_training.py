"""The training that all exports of one model are made of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoo.atomic import write_atomic
from zoo.bench.store import new_record_id
from zoo.bench.work import Request, WorkFolder
from zoo.training import TrainingOutcome
from zoo.training.outcome import read_outcome


@dataclass(frozen=True)
class SharedTraining:
    """Its folder, among those of the cells: the first cell that needs it trains there, the others read the weights."""

    folder: WorkFolder

    @classmethod
    def of(cls, key: str, cells: Path) -> SharedTraining:
        """The one of `key_of_training`, in the folder that the cells' own folders lie in."""
        return cls(WorkFolder(cells / f"trained-{key[:24]}"))

    def outcome(
        self, request: Request, train: Callable[[Path], TrainingOutcome], refuse: Callable[[], None]
    ) -> TrainingOutcome:
        """What `train` makes of the run's folder, or has made of it for another cell. Where nothing has begun,
        `refuse` may raise InputError before.

        Whoever holds the folder trains what is needed here: the wait has no end but that of the cell's own time.
        """
        with self.folder.held(None):
            if self._is_finished and self._is_stale(request):
                self._remove()
            finished = self._is_finished
            if not self.folder.run.exists():
                refuse()
            found = train(self.folder.run)
            if not finished:
                write_atomic(self._ended, new_record_id())
            return found

    @property
    def _ended(self) -> Path:
        """Holds a record's id of the moment at which training ended: such ids sort by time."""
        return self.folder.path / "ended"

    @property
    def _is_finished(self) -> bool:
        found = read_outcome(self.folder.run)
        return found is not None and found.status != "running"

    def _is_stale(self, request: Request) -> bool:
        """Whether a finished training is not to be taken: it is older than a wish to run cells again; or memory did not
        suffice before the cells at hand were asked for, which may have been the machine's fault."""
        ended = self._ended.read_text() if self._ended.is_file() else ""  # an earlier version of zoo noted nothing
        found = read_outcome(self.folder.run)
        limits = [request.again_since, request.begun if found is not None and found.status == "oom" else None]
        return any(limit is not None and ended <= limit for limit in limits)

    def _remove(self) -> None:
        """All or nothing: what is left of half a run would be refused."""
        gone = self.folder.path.with_name(f"{self.folder.path.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        self.folder.path.rename(gone)
        shutil.rmtree(gone)
