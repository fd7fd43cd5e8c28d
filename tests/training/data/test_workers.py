"""Data workers: the same batches and weights for any number of them, and none outlives the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml

from zoo.models.tokenizers import Tokenizers
from zoo.spec import Spec
from zoo.tasks import DataHome, Example
from zoo.training import train
from zoo.training.data.collate import Batch, Collator
from zoo.training.data.encoding import encode_pairs
from zoo.training.data.loader import Loader, Step, batches_for
from zoo.training.data.steps import Plan
from zoo.training.data.workers import DataWorkerDiedError, collated, death_of_worker
from zoo.training.processes.launch import train_together
from zoo.training.processes.world import World
from zoo.training.weights import checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Letters:
    eos_token_id = 1

    def __call__(self, texts: list[str], **kwargs: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[*map(ord, text), 1] for text in texts]}


def command(process: psutil.Process) -> str:
    """The command line of a process; nothing of one that has ended meanwhile."""
    with suppress(psutil.NoSuchProcess):  # of a zombie too
        return " ".join(process.cmdline())
    return ""


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    others = psutil.Process().children()  # such as the browser, which starts further ones at any time
    yield
    mine = set(psutil.Process().children(recursive=True)) - set(others)
    for other in others:
        with suppress(psutil.NoSuchProcess):
            mine -= set(other.children(recursive=True))
    # The tracker of semaphores serves the whole process.
    mine = [process for process in mine if "resource_tracker" not in command(process)]
    _, alive = psutil.wait_procs(mine, timeout=10)
    assert not alive


def loader(workers: int, world: World | None = None, *, packing: bool = False, context: bool = False) -> Loader:
    items = [
        Example(str(n), "a" * (n % 17), "b" * (n % 13), context="c" * (n % 5) if context else None) for n in range(90)
    ]
    pairs = encode_pairs(Tokenizers(Letters(), Letters()), items, 99)
    collate = Collator(pairs, pad_id=0, start_id=0)
    plan = Plan(world.size if world else 1)
    steps = 60 // plan.micro_batches
    return Loader(pairs, batches_for(pairs, 60, 7, packing=packing), collate, steps, world, plan=plan, workers=workers)


def _plain(item: Any) -> Any:
    return item.tolist() if isinstance(item, torch.Tensor) else item


def content(steps: list[Step]) -> list[Any]:
    return [
        [step.end, share.target_tokens, share.tokens, *(_plain(item) for item in vars(share.batch).values())]
        for step in steps
        for share in step.shares
    ]


@pytest.mark.parametrize(
    ("workers", "kind"),
    [(1, {}), (3, {}), (2, {"packing": True}), (2, {"context": True})],
    ids=["plain-1", "plain-3", "packed", "context"],
)
def test_batches_are_the_same_for_any_number_of_workers(workers: int, kind: dict[str, bool]) -> None:
    made = content(list(loader(workers, **kind)))
    assert len(made) == 60
    assert made == content(list(loader(0, **kind)))


def test_a_process_among_several_and_a_run_that_goes_on_get_their_own_part_from_workers() -> None:
    parts = []
    for workers in (0, 2):
        mine = loader(workers, World(rank=1, size=2))
        mine.go_on(12, 24)
        parts.append(content(list(mine)))
    assert len(parts[0]) == 18
    assert parts[0] == parts[1]


def test_workers_leave_torchs_generator_alone_and_end_with_who_stops_early() -> None:
    before = torch.get_rng_state()
    shares = iter(loader(2))
    list(islice(shares, 3))
    assert torch.equal(torch.get_rng_state(), before)
    family = psutil.Process().children(recursive=True)
    shares.close()
    workers = [process for process in family if "spawn_main" in command(process)]
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


class Raises:
    def __call__(self, examples: Any) -> Batch:
        raise ValueError("no such row")


class Kills:
    def __call__(self, examples: Any) -> Batch:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_a_mistake_in_a_worker_is_raised_as_what_it_is() -> None:
    plan = list(islice(batches_for(loader(0).dataset, 60, 1).stream(), 4))
    with pytest.raises(ValueError, match="no such row"):
        list(collated(plan, Raises(), 1))


def test_a_killed_worker_is_told_as_such() -> None:
    plan = list(islice(batches_for(loader(0).dataset, 60, 1).stream(), 4))
    with pytest.raises(RuntimeError) as caught:
        list(collated(plan, Kills(), 1))
    told = death_of_worker(caught.value)
    assert isinstance(told, DataWorkerDiedError)
    assert "data worker ended by signal Killed" in str(told)
    assert death_of_worker(RuntimeError("CUDA error")) is None


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


class Died(BaseException):
    """Stands for the end of the process."""


def test_a_run_has_the_same_weights_with_any_number_of_workers_and_when_it_goes_on_with_another(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout: its masks come from the generator that starting workers must not draw from."""
    from zoo.training.trainer import ZooTrainer

    def spec(workers: int) -> Spec:
        return make_spec(**{"training.data_workers": workers, "training.save_every": 5, "training.packing": True})

    for workers in (0, 3):
        train(spec(workers), tmp_path / str(workers), home=home)
    assert weights(tmp_path / "0") == weights(tmp_path / "3")
    original = ZooTrainer.training_step

    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step + 1 == 8:
            raise Died
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ZooTrainer, "training_step", dying)
        with pytest.raises(Died):
            train(spec(1), tmp_path / "cut", home=home)
    train(spec(1), tmp_path / "cut", resume=True, home=home)
    assert weights(tmp_path / "cut") == weights(tmp_path / "0")


@pytest.mark.soak
def test_several_processes_with_workers_train_the_model_of_those_without(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    for workers in (0, 1):
        spec = make_spec(**{"training.data_workers": workers, "training.gradient_accumulation": 2})
        train_together(spec, tmp_path / str(workers), 2, home=home)
    assert weights(tmp_path / "0") == weights(tmp_path / "1")


SLOW = '''
"""A plugin that makes steps slow."""

import time

from zoo.registry import hookimpl


@hookimpl
def zoo_training_callbacks(context):
    from transformers import TrainerCallback

    class Slow(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            time.sleep(0.3)

    return [Slow()]
'''


@pytest.mark.parametrize("victim", ["parent", "worker"])
def test_workers_end_with_their_run_and_a_run_with_its_worker(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, victim: str
) -> None:
    site = tmp_path / "site"
    (site / "zoo_slow-1.0.dist-info").mkdir(parents=True)
    (site / "zoo_slow.py").write_text(SLOW)
    (site / "zoo_slow-1.0.dist-info" / "METADATA").write_text("Name: zoo-slow\nVersion: 1.0\n")
    (site / "zoo_slow-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nslow = zoo_slow\n")
    spec = make_spec(**{"training.steps": 300, "training.save_every": 1, "training.data_workers": 2})
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(spec.plain()))
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen(
        [sys.executable, "-m", "zoo.cli.main", "train", str(file), "--out", str(tmp_path / "out")],
        env={**os.environ, "ZOO_HOME": str(home.root), "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not checkpoints.complete(tmp_path / "out"):
            assert parent.poll() is None, parent.stderr.read() if parent.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)
        family = psutil.Process(parent.pid).children(recursive=True)
        workers = [process for process in family if "spawn_main" in command(process)]
        assert len(workers) == 2
        (parent if victim == "parent" else workers[0]).kill()
        error = parent.communicate(timeout=60)[1]
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive
    finally:
        parent.kill()
        parent.wait()
    if victim == "worker":
        assert parent.returncode == 1
        # Python's resource tracker may still speak of what the killed worker held.
        last = [line for line in error.splitlines() if line.startswith("zoo: ")][-1]
        assert last.startswith("zoo: a data worker ended")
        assert "can be resumed" in last
