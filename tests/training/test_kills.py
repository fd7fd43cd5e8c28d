"""``kill -9`` at twenty random steps, half of them in the middle of writing a checkpoint."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.weights import checkpoints

KILLS, STEPS, SAVED = 20, 30, 3

NURSERY = '''
"""Trains in a fork of this process for each line of its input, so that twenty runs import torch once.

Tells ``pid N``, ``step N`` after each step, and ``ended STATUS``.
"""

import gc
import os
import sys
from pathlib import Path

import yaml

from zoo.spec import resolve
from zoo.tasks import DataHome
from zoo.training import train


def tell(text):
    os.write(1, (text + "\\n").encode())


home = DataHome(Path(sys.argv[1]))
plain = yaml.safe_load(Path(sys.argv[2]).read_text())
spec = resolve(plain)
# Whatever is imported on first use is imported here. No step is taken: autograd's threads would not survive a fork.
train(resolve({**plain, "training": {**plain["training"], "steps": 0}}), Path(sys.argv[3]), home=home)
gc.freeze()  # else each child goes through all of it, and so copies it
for line in sys.stdin:
    child = os.fork()
    if not child:
        steps = lambda stage, done, total: tell(f"step {done}") if stage.startswith("training") else None
        try:
            train(spec, Path(line.strip()), resume=True, home=home, progress=steps)
        except BaseException as error:
            tell(f"failed {error!r}")
            os._exit(1)
        os._exit(0)
    tell(f"pid {child}")
    tell(f"ended {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
'''


class Nursery:
    """Runs that can be killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, out: Path, watch: Callable[[int, int], None] = lambda pid, step: None) -> int:
        """Go on with the run in `out`; `watch` hears of each step, and may kill. Returns the exit status."""
        self._process.stdin.write(f"{out}\n")
        self._process.stdin.flush()
        pid = None
        early = []  # steps that were told before the pid
        for line in self._process.stdout:
            what, _, value = line.strip().partition(" ")
            assert what != "failed", value
            if what == "ended":
                return int(value)
            if what == "pid":
                pid = int(value)
                for step in early:
                    watch(pid, step)
            elif pid is None:
                early.append(int(value))
            else:
                watch(pid, int(value))
        raise AssertionError("the nursery is gone")


@pytest.fixture
def spec(make_spec: Callable[..., Spec]) -> Spec:
    """With everything that a checkpoint has to hold."""
    return make_spec(
        **{
            "training.steps": STEPS,
            "training.save_every": SAVED,
            "training.evaluate_every": 7,
            "training.keep_best": True,
            "training.step_tokens": 150,
            "seeds": {"dropout": 11},
        }
    )


@pytest.fixture
def nursery(spec: Spec, home: DataHome, tmp_path: Path) -> Iterator[Nursery]:
    script, file = tmp_path / "nursery.py", tmp_path / "spec.yaml"
    script.write_text(NURSERY)
    file.write_text(yaml.safe_dump(spec.plain()))
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    process = subprocess.Popen(
        [sys.executable, str(script), str(home.root), str(file), str(tmp_path / "warm")],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield Nursery(process)
    process.stdin.close()
    assert process.wait(200) == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_killed_at_twenty_random_steps_ends_each_time_with_the_weights_of_an_uninterrupted_one(
    spec: Spec, home: DataHome, tmp_path: Path, nursery: Nursery
) -> None:
    """One run is killed over and over; after each kill a copy of its folder goes on to the end undisturbed."""
    cut, copy = tmp_path / "cut", tmp_path / "copy"
    whole = train(spec, tmp_path / "whole", home=home)
    expected = (tmp_path / "whole" / "model.safetensors").read_bytes()
    chance = random.Random(0)
    torn = 0
    for number, wanted in enumerate(sorted(chance.sample(range(1, STEPS - 1), KILLS))):
        writing, delay = number % 2 == 0, chance.uniform(0, 0.01)
        killed: list[int] = []

        def kill(
            pid: int,
            step: int,
            wanted: int = wanted,
            writing: bool = writing,
            delay: float = delay,
            killed: list = killed,
        ) -> None:
            # A checkpoint is written after its step is told.
            if killed or step < wanted or (writing and step % SAVED):
                return
            until = time.monotonic() + 5
            while writing and not list(cut.glob("checkpoints/.tmp-*")) and time.monotonic() < until:
                pass
            if not writing:
                time.sleep(delay)
            os.kill(pid, signal.SIGKILL)
            killed.append(step)

        assert nursery.run(cut, kill) == -signal.SIGKILL
        assert json.loads((cut / "training.json").read_text())["status"] == "running"
        torn += bool(list(cut.glob("**/.tmp-*")))
        shutil.copytree(cut, copy)
        assert nursery.run(copy) == 0
        assert (copy / "model.safetensors").read_bytes() == expected, f"killed in or after step {killed}"
        outcome = json.loads((copy / "training.json").read_text())
        assert (outcome["status"], outcome["model_step"]) == ("ok", whole.model_step)
        assert not list(copy.glob("**/.tmp-*"))
        shutil.rmtree(copy)
    assert torn > KILLS // 4, "hardly a kill met a checkpoint that was being written"
    assert nursery.run(cut) == 0
    assert (cut / "model.safetensors").read_bytes() == expected
    assert checkpoints.complete(cut)[-1].step == STEPS
