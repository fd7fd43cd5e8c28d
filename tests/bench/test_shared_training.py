"""The training that exports of one model share: when it is taken, and when it is made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zoo.bench import new_record_id
from zoo.bench.shared_training import SharedTraining
from zoo.bench.work import Request
from zoo.errors import InputError
from zoo.training import TrainingOutcome
from zoo.training.outcome import Status, read_outcome, write_outcome


class Training:
    """Ends as it is told to, and counts how often it has begun."""

    def __init__(self, cells: Path) -> None:
        self.shared = SharedTraining.of("abc", cells)
        self.begun = self.refusals = 0
        self.status: Status = "ok"

    def asked(self, **request: Any) -> TrainingOutcome:
        """As the cell of a request asks for it."""
        made = Request(job="model", spec={}, home="/home", store="/store", threads=1, **request)
        return self.shared.outcome(made, self._train, self._refuse)

    def _refuse(self) -> None:
        self.refusals += 1

    def _train(self, run: Path) -> TrainingOutcome:
        found = read_outcome(run) if run.exists() else None
        if found is not None and found.status != "running":
            return found
        self.begun += 1
        run.mkdir(parents=True, exist_ok=True)
        ended = TrainingOutcome(self.status, None, self.begun, 9, 0, 1.0, None)
        write_outcome(ended, run)
        return ended


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path)


@pytest.mark.parametrize("status", ["ok", "nan"])
def test_it_is_made_once_however_it_ended(training: Training, status: Status) -> None:
    training.status = status
    first, other = (training.asked(begun=new_record_id()) for _ in range(2))
    assert (first.status, other.status, training.begun, training.refusals) == (status, status, 1, 1)


@pytest.mark.parametrize("status", ["ok", "nan", "oom"])
def test_to_run_cells_again_trains_anew_once_for_all_of_them(training: Training, status: Status) -> None:
    training.status = status
    training.asked(begun=new_record_id())
    training.status = "ok"
    again = new_record_id()
    found = [training.asked(again_since=again, begun=again) for _ in range(3)]
    assert [outcome.steps for outcome in found] == [2, 2, 2]
    assert (training.begun, training.refusals) == (2, 2)
    training.asked(begun=new_record_id())
    assert training.begun == 2


def test_lack_of_memory_is_the_outcome_of_one_sweep_and_of_no_later_one(training: Training) -> None:
    training.status = "oom"
    sweep = new_record_id()
    assert [training.asked(begun=sweep).status for _ in range(2)] == ["oom", "oom"]
    assert training.begun == 1
    training.status = "ok"
    later = new_record_id()
    assert [training.asked(begun=later).status for _ in range(2)] == ["ok", "ok"]
    assert training.begun == 2


def test_one_that_was_cut_short_goes_on_also_where_cells_are_run_again(training: Training) -> None:
    training.status = "running"
    training.asked(begun=new_record_id())
    mark = training.shared.folder.run / "checkpoint"
    mark.touch()
    again = new_record_id()
    training.asked(again_since=again, begun=again)
    assert mark.exists()
    assert training.begun == 2


def test_one_of_which_nothing_is_noted_is_older_than_any_wish(training: Training) -> None:
    training.asked()
    (training.shared.folder.path / "ended").unlink()
    training.asked(begun=new_record_id())
    assert training.begun == 1
    training.asked(again_since=new_record_id())
    assert training.begun == 2


def test_what_is_refused_leaves_nothing(training: Training) -> None:
    def refuse() -> None:
        raise InputError("export: model.position: cannot be said")

    request = Request(job="model", spec={}, home="/home", store="/store", threads=1)
    with pytest.raises(InputError):
        training.shared.outcome(request, training._train, refuse)
    assert not training.shared.folder.path.exists()
    assert training.begun == 0
