"""What is asked of executors."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from zoo.bench.executor import CellJob, Done, Executor, Settings
from zoo.bench.store import RecordStore
from zoo.spec import Spec, load_spec
from zoo.spec.options import Chosen
from zoo.testing.suite import ComponentSuite

_AT_ONCE = 0.01
"""Seconds: a cell with this limit ends as soon as it has begun."""
_PATIENCE = 60.0


class ExecutorSuite(ComponentSuite):
    """Executors: see `zoo.bench.executor.Executor`.

    Set `spec` to the file of a small spec whose data needs no network: without it only the record is checked.
    """

    kind: ClassVar[str] = "executor"
    spec: ClassVar[Path | str | None] = None

    @pytest.fixture
    def executor(self, chosen: Chosen) -> Executor:
        """The executor, as the host builds it."""
        executor: Executor = chosen.create()
        assert isinstance(executor, Executor)
        return executor

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        """Fresh folders."""
        return Settings(store=tmp_path / "records", home=tmp_path / "home", work=tmp_path / "work")

    def small(self, *sets: str) -> Spec:
        """The spec with values set."""
        if self.spec is None:
            pytest.skip("set 'spec' to try the executor")
        return load_spec(self.spec, sets)

    def test_each_job_is_reported_once_and_a_second_run_finds_every_result(
        self, executor: Executor, settings: Settings
    ) -> None:
        one, two = self.small("seed=1"), self.small("seed=2")
        jobs = [CellJob(one, "copy"), CellJob(one), CellJob(two)]
        hurried = Settings(**{**vars(settings), "timeout": _AT_ONCE})
        first = list(executor.run(jobs, hurried))
        assert _sorted(done.job for done in first) == _sorted(jobs)
        assert {_status(done) for done in first} == {("timeout", False)}
        assert len(RecordStore(settings.store).read().records) == len(jobs)
        again = list(executor.run(jobs, hurried))
        assert _sorted(done.job for done in again) == _sorted(jobs)
        assert {_status(done) for done in again} == {("timeout", True)}
        assert _ids(again) == _ids(first)

    def test_what_keeps_a_job_from_being_run_is_an_answer(self, executor: Executor, settings: Settings) -> None:
        settings.home.parent.mkdir(parents=True, exist_ok=True)
        settings.home.write_text("a file where the data should go")
        jobs = [CellJob(self.small()), CellJob(self.small(), "copy")]
        ended = list(executor.run(jobs, settings))
        assert _sorted(done.job for done in ended) == _sorted(jobs)
        assert all(done.error is not None and str(settings.home) in str(done.error) for done in ended)

    def test_no_jobs_are_no_work(self, executor: Executor, settings: Settings) -> None:
        assert list(executor.run([], settings)) == []

    @pytest.mark.slow
    def test_nothing_stays_at_work_when_nobody_wants_more(self, executor: Executor, settings: Settings) -> None:
        endless = self.small("training.steps=1000000")
        running = executor.run([CellJob(endless, "copy"), CellJob(endless)], settings)
        assert next(iter(running)).job.job == "copy"
        running.close()  # type: ignore[attr-defined]
        deadline = time.monotonic() + _PATIENCE
        while (left := _at_work(settings)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not left
        assert [record.name for record in RecordStore(settings.store).read().records] == ["copy"]


def _sorted(jobs: object) -> list[str]:
    return sorted(job.name for job in jobs)  # type: ignore[attr-defined]


def _status(done: Done) -> tuple[str, bool]:
    assert done.result is not None, done.error
    return done.result.record.status, done.result.cached


def _ids(ended: list[Done]) -> set[str]:
    return {done.result.record.id for done in ended if done.result is not None}


def _at_work(settings: Settings) -> list[int]:
    """Processes whose command names the work folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if any(str(settings.work) in part for part in process.info["cmdline"] or ()):
            found.append(process.info["pid"])
    return found
