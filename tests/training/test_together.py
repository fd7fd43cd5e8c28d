"""One model, trained by two processes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from zoo.cli.main import main
from zoo.errors import ZooError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.processes.launch import ProcessDiedError, train_together
from zoo.training.weights import checkpoints
from zoo.training.weights.last_weights import FOLDER as LAST

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SABOTEUR = '''
"""A plugin that fails in one of the processes, as the environment says."""

import os
import time

from zoo.registry import hookimpl


@hookimpl
def zoo_training_callbacks(context):
    from transformers import TrainerCallback

    class Saboteur(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            time.sleep(float(os.environ.get("TEST_SLOWNESS", "0")))
            if state.global_step == 7 and os.environ.get("RANK") == os.environ.get("TEST_RANK"):
                what = os.environ["TEST_FAILURE"]
                if what == "oom":
                    raise MemoryError("not even one byte")
                if what == "bug":
                    raise ValueError("shapes do not match")
                os.kill(os.getpid(), 9)

    return [Saboteur()]
'''


@pytest.fixture
def sabotage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``sabotage("oom", rank=1)``: what goes wrong in the eighth step of processes started from here."""
    site = tmp_path / "site"
    (site / "zoo_saboteur-1.0.dist-info").mkdir(parents=True)
    (site / "zoo_saboteur.py").write_text(SABOTEUR)
    (site / "zoo_saboteur-1.0.dist-info" / "METADATA").write_text("Name: zoo-saboteur\nVersion: 1.0\n")
    (site / "zoo_saboteur-1.0.dist-info" / "entry_points.txt").write_text("[zoo]\nsaboteur = zoo_saboteur\n")
    monkeypatch.setenv("PYTHONPATH", str(site))

    def choose(what: str, rank: int) -> None:
        monkeypatch.setenv("TEST_FAILURE", what)
        monkeypatch.setenv("TEST_RANK", str(rank))

    return choose


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    others = {process.pid for process in psutil.Process().children()}  # such as another test's browser, which may fork
    yield
    begun = [process for process in psutil.Process().children() if process.pid not in others]
    mine = [*begun, *(descendant for process in begun for descendant in process.children(recursive=True))]
    _, alive = psutil.wait_procs(mine, timeout=10)
    assert not alive


@pytest.fixture
def shared(make_spec: Callable[..., Spec]) -> Callable[..., Spec]:
    """Specs whose steps have two micro-batches, without dropout."""
    return lambda **changes: make_spec(
        **{"training.gradient_accumulation": 2, "model.dropout": 0.0, "training.evaluate_every": 6, **changes}
    )


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def largest_difference(one: Path, other: Path) -> float:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max((left[name] - right[name]).abs().max().item() for name in left)


def test_two_processes_train_the_model_that_one_process_trains(
    shared: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    """Each takes one of the two micro-batches of a step; gradients are those of both over all their real tokens.

    The model has the average of its weights, of which there is one, and the last weights lie beside it.
    """
    averaging = {"training.averaging": {"use": "swa", "start": 4, "every": 2}}
    spec = shared(**averaging)
    alone = train(spec, tmp_path / "alone", home=home)
    together = train_together(spec, tmp_path / "together", 2, home=home)
    assert (together.status, together.steps, together.facts["processes"]) == ("ok", 12, 2)
    assert together.facts["averaging"] == alone.facts["averaging"]
    assert len(together.curve) == len(alone.curve) == 4
    assert alone.curve[-1].averaged_dev_loss is not None
    for one, other in zip(alone.curve, together.curve, strict=True):
        for name, value in vars(one).items():
            assert vars(other)[name] == (None if value is None else pytest.approx(value, rel=1e-5)), name
    assert largest_difference(tmp_path / "alone", tmp_path / "together") < 1e-5
    assert largest_difference(tmp_path / "alone" / LAST, tmp_path / "together" / LAST) < 1e-5
    assert largest_difference(tmp_path / "alone", tmp_path / "alone" / LAST) > 1e-3
    # The control: a step of one of the two micro-batches, or with another loss per token, would show.
    half = train(shared(**averaging, **{"training.gradient_accumulation": 1}), tmp_path / "half", home=home)
    assert half.curve[0].gradient_norm != pytest.approx(alone.curve[0].gradient_norm, rel=1e-2)
    assert largest_difference(tmp_path / "alone", tmp_path / "half") > 1e-3
    # Every file is the first process's, and there is one of each.
    assert len(list((tmp_path / "together" / "logs").iterdir())) == 1
    assert sorted(file.name for file in (tmp_path / "together").iterdir()) == sorted(
        file.name for file in (tmp_path / "alone").iterdir()
    )


def test_two_processes_take_the_steps_of_tokens_that_one_takes(
    shared: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    """Steps have different numbers of micro-batches, and where a number is odd one process has none left.

    In two passes and by chunks: the output matrix is then read outside of the forward pass that processes wait for each
    other in. Without biases: the gradient of a key's is 0 but for rounding, which differs, and AdamW goes a whole step
    by it.
    """
    changes = {"training.gradient_accumulation": 1, "training.step_tokens": 250, "training.steps": 8}
    changes |= {"training.objective": "r-drop", "training.logits_chunk": 16, "model.tie_embeddings": "none"}
    changes["model.bias"] = False
    spec = shared(**changes, **{"training.save_every": 8})
    alone = train(spec, tmp_path / "alone", home=home)
    together = train_together(spec, tmp_path / "together", 2, home=home)
    assert (together.status, together.facts["processes"]) == ("ok", 2)
    for one, other in zip(alone.curve, together.curve, strict=True):
        for name, value in vars(one).items():
            assert vars(other)[name] == (None if value is None else pytest.approx(value, rel=1e-5)), name
    assert largest_difference(tmp_path / "alone", tmp_path / "together") < 1e-5
    taken = [checkpoints.complete(tmp_path / name)[-1].load_state()["batches"] for name in ("alone", "together")]
    assert taken[0] == taken[1] > 8, "the same micro-batches, more than one a step"


def test_a_run_that_torchrun_began_is_killed_and_goes_on_under_accelerate_to_the_same_weights(
    shared: Callable[..., Spec], home: DataHome, tmp_path: Path, sabotage: Callable[..., None]
) -> None:
    """With dropout, so that each process must get its own randomness back."""
    sabotage("killed", rank=1)
    spec = shared(**{"model.dropout": 0.1, "training.save_every": 5})
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(spec.plain()))
    command = ["-m", "zoo.cli.main", "train", str(file), "--out", str(tmp_path / "cut")]
    environ = {**os.environ, "ZOO_HOME": str(home.root), "OMP_NUM_THREADS": "1"}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    cut = subprocess.run(torchrun, env=environ, capture_output=True, text=True, timeout=200, check=False)
    assert cut.returncode != 0
    assert json.loads((tmp_path / "cut" / "training.json").read_text())["status"] == "running"
    assert [saved.step for saved in checkpoints.complete(tmp_path / "cut")] == [5]

    del environ["PYTHONPATH"]
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--num_machines", "1"]
    # On a machine without GPUs this is what makes accelerate start more than one process.
    accelerate += ["--multi_gpu", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    if torch.cuda.device_count() < 2:
        environ["ACCELERATE_USE_CPU"] = "true"
    done = subprocess.run(
        [*accelerate, *command, "--resume"], env=environ, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained tiny for 12 steps") == 1
    sabotage("nothing", rank=-1)
    train_together(spec, tmp_path / "whole", 2, home=home)
    assert largest_difference(tmp_path / "whole", tmp_path / "cut") == 0.0


def test_a_run_of_one_process_goes_on_with_two(
    shared: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = shared(**{"training.save_every": 5})
    whole = train(spec, tmp_path / "whole", home=home)

    def cut_short(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.run._Attempt._written", cut_short)
        with pytest.raises(KeyboardInterrupt):
            train(spec, tmp_path / "cut", home=home)
    done = train_together(spec, tmp_path / "cut", 2, resume=True, home=home)
    assert (done.status, len(done.curve)) == ("ok", len(whole.curve))
    assert largest_difference(tmp_path / "whole", tmp_path / "cut") < 1e-5


def test_a_loss_that_is_not_finite_ends_all_at_the_same_step(
    shared: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = shared(**{"training.optimizer": {"use": "adamw", "lr": 1e30}})
    alone = train(spec, tmp_path / "alone", home=home)
    together = train_together(spec, tmp_path / "together", 2, home=home)
    assert (together.status, together.steps) == (alone.status, alone.steps) == ("nan", alone.steps)
    assert largest_difference(tmp_path / "alone", tmp_path / "together") == 0.0, "both kept the initial weights"


@pytest.mark.parametrize("rank", [0, 1])
def test_lack_of_memory_in_one_process_is_the_outcome_of_the_run(
    shared: Callable[..., Spec], home: DataHome, tmp_path: Path, sabotage: Callable[..., None], rank: int
) -> None:
    sabotage("oom", rank=rank)
    begun = time.monotonic()
    outcome = train_together(shared(**{"training.save_every": 5}), tmp_path / "out", 2, home=home)
    assert (outcome.status, outcome.steps, outcome.model_step) == ("oom", 7, 5)
    assert outcome.error is not None
    assert outcome.error.startswith("out of memory in step 8: not even one byte; lower training.batch_tokens")
    assert time.monotonic() - begun < 100, "nobody waits for one that is gone"


def test_a_mistake_in_the_code_of_one_process_is_told_and_not_what_the_others_make_of_it(
    shared: Callable[..., Spec], home: DataHome, tmp_path: Path, sabotage: Callable[..., None]
) -> None:
    sabotage("bug", rank=1)
    with pytest.raises(RuntimeError, match="^ValueError: shapes do not match$"):
        train_together(shared(), tmp_path / "out", 2, home=home)
    sabotage("killed", rank=1)
    with pytest.raises(ProcessDiedError, match="training process 2 of 2 ended by signal 9") as caught:
        train_together(shared(), tmp_path / "out", 2, resume=True, home=home)
    assert caught.value.signal == signal.SIGKILL
    assert isinstance(caught.value, ZooError)


def test_a_mistake_of_the_user_is_told_once(
    shared: Callable[..., Spec],
    home: DataHome,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(shared().plain()))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    monkeypatch.setenv("ZOO_HOME", str(home.root))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    capfd.readouterr()
    assert main(["train", str(file), "--out", str(tmp_path / "out"), "--processes", "2"]) == 2
    assert capfd.readouterr().err.splitlines() == [
        f"zoo: --out {tmp_path}/out: is not empty, and not a run of zoo; "
        "choose another folder, or remove this one first"
    ]


def test_training_processes_end_with_the_one_that_started_them(
    shared: Callable[..., Spec], home: DataHome, tmp_path: Path, sabotage: Callable[..., None]
) -> None:
    sabotage("nothing", rank=-1)
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(shared(**{"training.save_every": 1}).plain()))
    parent = subprocess.Popen(
        [sys.executable, "-m", "zoo.cli.main", "train", str(file), "--out", str(tmp_path / "out"), "--processes", "2"],
        env={**os.environ, "ZOO_HOME": str(home.root), "OMP_NUM_THREADS": "1", "TEST_SLOWNESS": "1"},
    )
    deadline = time.monotonic() + 100
    while not checkpoints.complete(tmp_path / "out"):
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) == 2
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
