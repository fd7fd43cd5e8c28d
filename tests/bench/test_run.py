from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from zoo.bench import RecordStore, new_record_id
from zoo.bench.outcome import Outcome
from zoo.bench.run import Runner, StoppedError, with_seeds
from zoo.bench.soundness import check_store
from zoo.bench.work import WorkFolder
from zoo.errors import InputError, ZooError
from zoo.models import weights_hash
from zoo.tasks import DataHome
from zoo.testing.in_process import cells_in_this_process
from zoo.training import load_run

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture
def runner(tmp_path: Path, home: DataHome) -> Runner:
    torch.set_num_threads(1)
    return Runner(RecordStore(tmp_path / "records"), home=home, work=tmp_path / "work")


def folder_of(runner: Runner, spec: Any) -> WorkFolder:
    assert runner.work is not None
    return WorkFolder(runner.work / runner._cell(spec).key[:24])


def test_a_cell_with_a_result_is_not_run_again(runner: Runner, small_spec: Any, make_record: Any) -> None:
    spec = small_spec()
    done = make_record(cell=runner._cell(spec).key, status="nan", error="step 3")
    runner.store.append(done)
    result = runner.run(spec)
    assert result.cached
    assert result.record == done
    assert not folder_of(runner, spec).path.exists()
    assert len(runner.store.read().records) == 1


def test_an_outcome_that_a_killed_parent_did_not_record_is_recorded_without_a_new_run(
    runner: Runner, small_spec: Any
) -> None:
    spec = small_spec()
    folder = folder_of(runner, spec)
    folder.path.mkdir(parents=True)
    folder.write_outcome(Outcome(status="nan", error="step 3", steps=2, probes={"x": 1.5}))
    result = runner.run(spec)
    assert not result.cached
    assert (result.record.status, result.record.steps, result.record.probes) == ("nan", 2, {"x": 1.5})
    assert not folder.log.exists()
    assert runner.run(spec).cached
    assert folder.read_outcome() is None


def test_a_folder_whose_attempt_is_on_record_is_not_continued(runner: Runner, small_spec: Any) -> None:
    folder = folder_of(runner, small_spec())
    folder.run.mkdir(parents=True)
    folder.clear_if_recorded(lambda _: True)
    assert folder.run.exists(), "an attempt that was cut short is continued"
    folder.mark_recorded("some-record")
    folder.clear_if_recorded("some-record".__eq__)
    assert not folder.path.exists()


@pytest.mark.parametrize("when", ["before the record", "after the record"])
def test_a_kill_around_the_writing_of_a_record_leaves_one_record_of_the_attempt(
    runner: Runner, small_spec: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Also where finished cells are to be run again, which does not ask the store whether the cell has a result."""
    spec = small_spec()
    folder = folder_of(runner, spec)
    folder.path.mkdir(parents=True)
    folder.write_outcome(Outcome(status="nan", error="step 3", steps=2))
    append = RecordStore.append

    def killed(store: RecordStore, record: Any) -> Path:
        if when == "after the record":
            append(store, record)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RecordStore, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            runner.run(spec)
    runner.again_since = new_record_id()
    fresh = Outcome(status="nan", error="step 4", steps=3)
    monkeypatch.setattr(Runner, "_attempt", lambda *_: fresh)
    errors = ["step 3", "step 4"] if when == "after the record" else ["step 3"]
    assert runner.run(spec).record.error == errors[-1]
    assert [record.error for record in runner.store.read().records] == errors


def test_run_again_means_once_for_each_asking(runner: Runner, small_spec: Any, make_record: Any) -> None:
    """A sweep whose worker died after it had recorded a cell does not run the cell a second time."""
    key = runner._cell(small_spec()).key
    runner.store.append(make_record(cell=key, status="nan", error="before"))
    runner.again_since = new_record_id()
    new = make_record(cell=key, status="nan", error="since")
    runner.store.append(new)
    result = runner.run(small_spec())
    assert (result.record, result.cached) == (new, True)


def test_a_runner_that_is_stopped_ends_its_cell_and_records_nothing(runner: Runner, small_spec: Any) -> None:
    threading.Timer(0.3, runner.stop).start()
    with pytest.raises(StoppedError):
        runner.run(small_spec("training.steps=1000000"))
    assert not cell_processes()
    assert runner.store.read().records == ()


def test_a_cells_process_sees_the_gpus_that_its_runner_was_given(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner._environ() is None
    runner.gpus = (1, 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert runner._environ()["CUDA_VISIBLE_DEVICES"] == "1,2"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-6")
    assert runner._environ()["CUDA_VISIBLE_DEVICES"] == "5,GPU-6"


def test_more_processes_than_gpus_are_a_mistake_and_no_result(
    runner: Runner, small_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    runner.processes, runner.gpus = 2, (3,)
    with pytest.raises(InputError, match="2 processes need 2 GPUs, this machine shows 1"):
        runner.run(small_spec("training.gradient_accumulation=2"))
    assert runner.store.read().records == ()


def test_threads_and_processes_of_a_cell_are_part_of_its_hardware(runner: Runner, small_spec: Any) -> None:
    keys = {runner._cell(small_spec()).key}
    runner.processes = 2
    keys.add(runner._cell(small_spec()).key)
    if not torch.cuda.is_available():
        runner.threads = 7
        keys.add(runner._cell(small_spec()).key)
        assert "(7 threads), 2 processes" in runner._cell(small_spec()).hardware
    assert len(keys) == 2 + (not torch.cuda.is_available())


def test_two_runners_do_not_work_on_one_cell_at_once(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path / "cell")
    with folder.held() as lock:
        holder = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
    try:
        # The parent has let go, its process has not.
        with pytest.raises(ZooError, match="another process is at work"), folder.held(patience=0.2):
            pass
    finally:
        holder.kill()
        holder.wait()
    with folder.held(patience=0.2):
        pass


def test_a_cell_that_many_runners_are_asked_for_at_once_is_run_once(
    runner: Runner, small_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    def attempt(*_: Any) -> Outcome:
        attempts.append(1)
        time.sleep(0.2)  # meanwhile the others wait for the lock
        return Outcome(status="nan", error="step 3", steps=2)

    monkeypatch.setattr(Runner, "_attempt", attempt)
    runner._cell(small_spec())  # the data, so that all come to the cell at the same time
    runners = [replace(runner, progress=lambda *_: None) for _ in range(12)]
    with ThreadPoolExecutor(len(runners)) as pool:
        results = list(pool.map(lambda one: one.run(small_spec()), runners))
    assert len(attempts) == 1
    assert len({result.record.id for result in results}) == len(runner.store.read().records) == 1
    assert sorted(result.cached for result in results) == [False] + [True] * 11


def test_seeds_count_up_from_the_specs_own(small_spec: Any) -> None:
    assert [spec.seed for spec in with_seeds(small_spec("seed=7"), 3)] == [7, 8, 9]


def cell_processes() -> list[psutil.Process]:
    """Processes that run a cell for this one, which may have others, such as another test's browser."""
    found = []
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "zoo.bench.cell_process" in process.cmdline():
                found.append(process)
    return found


@pytest.mark.slow
def test_a_cell_leaves_a_whole_record(runner: Runner, small_spec: Any) -> None:
    spec = small_spec("evaluation.probes=[source-swap, repetition, shift]", "training.probe_every=15")
    record = runner.run(spec).record
    assert record.error is None or record.status == "collapsed"
    assert record.status in {"ok", "collapsed"}
    assert (record.name, record.role, record.task) == (spec.name, "model", spec.task.create().name)
    assert record.steps == 30
    assert [score.metric for score in record.quality] == ["bleu", "chrf"]
    assert all(score.examples == 12 and score.split == "test" for score in record.quality)
    assert record.performance[0].latency is not None
    assert record.performance[0].latency.samples == 3
    assert record.performance[0].threads == 1
    memory = record.performance[0].memory
    assert memory is not None
    assert memory.peak > 2**20
    assert record.parameters == sum(
        p.numel() for p in {id(p): p for p in load_run(folder_of(runner, spec).run).model.parameters()}.values()
    )
    assert record.curve
    assert {point.step for point in record.curve if "source-swap.difference" in point.probes} == {0, 15, 30}
    assert "source-swap.difference" in record.probes
    assert record.probe_series["shift.by_layer"].axis.startswith("encoder layer")
    assert set(record.probe_series["repetition.by_length"].lines) == {"outputs", "references"}
    assert record.distributions["zoo-probes"] == "0.1.0"
    assert len(record.samples) == 12
    assert record.environment["load_after"] is not None
    assert record.data_revision == spec.task.create().prepare(runner.home).revision
    assert runner.store.read().records == (record,)
    assert runner.run(spec).cached


@pytest.mark.slow
def test_a_cell_that_cannot_be_built_is_a_result(runner: Runner, small_spec: Any) -> None:
    spec = small_spec("tokenizer.vocab_size=30000")
    with cells_in_this_process():
        record = runner.run(spec).record
    assert record.status == "invalid"
    assert "vocab_size 30000" in str(record.error)
    assert runner.run(spec).cached


@pytest.mark.slow
def test_a_cell_that_takes_too_long_is_ended_and_recorded(runner: Runner, small_spec: Any) -> None:
    runner.timeout = 0.5
    record = runner.run(small_spec("training.steps=1000000")).record
    assert record.status == "timeout"
    assert record.error == "killed after 0.5 s"
    assert not cell_processes()


@pytest.mark.slow
def test_a_process_that_the_machine_killed_is_on_record_and_tried_again_and_a_result_only_when_asked(
    runner: Runner, small_spec: Any
) -> None:
    """Of a cell without measurement: it is scored, and its training alone is timed."""
    spec = small_spec("measurement.processes=0")

    def kill_first() -> None:
        while not (children := cell_processes()):
            time.sleep(0.01)
        children[0].kill()

    killer = threading.Thread(target=kill_first)
    killer.start()
    result = runner.run(spec)
    killer.join()
    record = result.record
    assert record.status in {"ok", "collapsed"}
    assert [score.metric for score in record.quality] == ["bleu", "chrf"]
    (trained,) = record.performance
    assert (trained.device, trained.dtype, trained.latency, trained.memory) == ("cpu", "float32", None, None)
    assert record.steps is not None
    assert record.training_seconds is not None
    assert record.training_tokens is not None
    assert trained.training_steps_per_second is not None
    assert trained.training_tokens_per_second is not None
    # Both by the same time, which is less than that of training with its evaluations.
    assert trained.training_tokens_per_second / trained.training_steps_per_second == pytest.approx(
        record.training_tokens / record.steps, rel=0.05
    )
    assert trained.training_steps_per_second > record.steps / record.training_seconds
    assert trained.training_memory is not None
    assert trained.training_memory.before is not None
    assert 2**20 < trained.training_memory.before < trained.training_memory.peak
    # AdamW: two moments of four bytes for each parameter, and step counters.
    assert record.parameters is not None
    assert trained.optimizer_state_bytes is not None
    assert trained.optimizer_state_bytes == pytest.approx(8 * record.parameters, rel=0.05)
    statuses = [(record.status, record.attempt) for record in runner.store.of_cell(result.record.cell)]
    assert statuses == [("infra", 1), (result.record.status, 2)]
    assert "signal 9" in str(runner.store.read().records[0].error)
    assert check_store(runner.store.folder).problems == ()
    assert runner.run(spec).cached

    runner.again_since = new_record_id()
    with cells_in_this_process():
        again = runner.run(spec).record
    assert again.attempt == 3
    assert again.cell == record.cell
    assert [score.value for score in again.quality] == [score.value for score in record.quality]


@pytest.mark.slow
@pytest.mark.soak
def test_a_parent_killed_in_training_takes_its_process_along_and_the_next_run_ends_with_the_same_weights(
    runner: Runner, small_spec: Any, tmp_path: Path
) -> None:
    spec = small_spec("training.steps=120", "training.save_every=20")
    folder = folder_of(runner, spec)
    parent = subprocess.Popen(
        [
            *(sys.executable, "-c", "from zoo.cli.main import run; run()", "bench"),
            *(str(spec_file(tmp_path, spec)), "--store", str(runner.store.folder), "--work", str(runner.work)),
        ],
        env={**os.environ, "ZOO_HOME": str(runner.home.root), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not list(folder.run.glob("checkpoints/*")) and time.monotonic() < deadline:
        assert parent.poll() is None, "ended before its first checkpoint"
        time.sleep(0.01)
    family = psutil.Process(parent.pid).children(recursive=True)
    assert family
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert all(record.role == "baseline" for record in runner.store.read().records)

    resumed = runner.run(spec).record
    assert resumed.steps == 120
    assert resumed.attempt == 1
    whole = Runner(RecordStore(tmp_path / "other"), home=runner.home, work=tmp_path / "other-work")
    uninterrupted = whole.run(spec).record
    assert weights_hash(load_run(folder.run).model) == weights_hash(load_run(folder_of(whole, spec).run).model)
    assert [score.value for score in resumed.quality] == [score.value for score in uninterrupted.quality]


def spec_file(folder: Path, spec: Any) -> Path:
    path = folder / "spec.yaml"
    path.write_text(json.dumps(spec.plain()))
    return path
