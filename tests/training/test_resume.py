"""An interrupted run ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from zoo.errors import InputError, ZooError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.weights import checkpoints

ADAFACTOR = {"use": "adafactor", "lr": 0.01, "beta1": 0.9}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


@pytest.mark.parametrize("optimizer", [{"use": "adamw", "lr": 2e-3}, ADAFACTOR], ids=["adamw", "adafactor"])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_resumed_run_has_the_weights_and_the_curve_of_an_uninterrupted_one(
    make_spec: Callable[..., Spec],
    home: DataHome,
    tmp_path: Path,
    optimizer: dict[str, Any],
    accumulation: int,
) -> None:
    """Killed in step 10: three after the checkpoint of step 7, and two after the log line of step 8."""
    spec = make_spec(
        **{
            "training.optimizer": optimizer,
            "training.save_every": 7,
            "training.evaluate_every": 5,
            "training.gradient_accumulation": accumulation,
        }
    )
    whole = train(spec, tmp_path / "whole", home=home)
    with pytest.MonkeyPatch.context() as patch:
        _kill_in_step(patch, 10)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    assert not torch.equal(
        next(iter(weights(tmp_path / "cut").values())), next(iter(weights(tmp_path / "whole").values()))
    )
    torch.rand(17)  # what the process drew before must not matter
    resumed = train(spec, tmp_path / "cut", resume=True, home=home)
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    assert resumed.status == whole.status == "ok"
    assert resumed.curve == whole.curve
    assert [point.step for point in whole.curve] == [4, 5, 8, 10, 12]


class Died(BaseException):
    """Stands for the end of the process: no part of a run may catch it."""


def _kill_in_step(patch: pytest.MonkeyPatch, step: int) -> None:
    from zoo.training.trainer import ZooTrainer

    original = ZooTrainer.training_step

    def dying(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step + 1 == step:
            raise Died
        return original(self, *args, **kwargs)

    patch.setattr(ZooTrainer, "training_step", dying)


def test_the_test_above_would_notice_a_lost_optimizer_state(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: with moments forgotten on resume, the weights do differ."""
    from zoo.training.components import Components

    spec = make_spec(**{"training.save_every": 7})
    train(spec, tmp_path / "whole", home=home)
    with pytest.MonkeyPatch.context() as patch:
        _kill_in_step(patch, 10)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    monkeypatch.setattr(
        Components, "load_state", lambda self, state: self.scheduler.load_state_dict(state["scheduler"])
    )
    train(spec, tmp_path / "cut", resume=True, home=home)
    with pytest.raises(AssertionError):
        assert_same_weights(tmp_path / "whole", tmp_path / "cut")


def test_a_run_killed_before_its_first_checkpoint_starts_over(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec()
    train(spec, tmp_path / "whole", home=home)
    with pytest.MonkeyPatch.context() as patch:
        _kill_in_step(patch, 6)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    assert train(spec, tmp_path / "cut", resume=True, home=home).steps == 12
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")


def test_a_half_written_newest_checkpoint_is_passed_over(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(**{"training.save_every": 3})
    train(spec, tmp_path / "whole", home=home)
    with pytest.MonkeyPatch.context() as patch:
        _kill_in_step(patch, 8)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    newest = checkpoints.complete(tmp_path / "cut")[-1]
    assert newest.step == 6
    state = newest.path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    train(spec, tmp_path / "cut", resume=True, home=home)
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")


def test_a_run_killed_after_its_last_checkpoint_only_needs_its_end(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.training import run

    spec = make_spec(**{"training.save_every": 6})
    whole = train(spec, tmp_path / "whole", home=home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run._Attempt, "_write_model", _die)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    resumed = train(spec, tmp_path / "cut", resume=True, home=home)
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    assert (resumed.status, resumed.steps, resumed.curve) == ("ok", 12, whole.curve)


def _die(*args: Any) -> None:
    raise Died


def test_a_run_whose_data_has_changed_does_not_go_on(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(**{"training.save_every": 3})
    with pytest.MonkeyPatch.context() as patch:
        _kill_in_step(patch, 5)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    lock = tmp_path / "cut" / "zoo.lock.yaml"
    document = yaml.safe_load(lock.read_text())
    document["content"]["data"] = "sha256:0"
    lock.write_text(yaml.safe_dump(document))
    with pytest.raises(ZooError, match="its data was sha256:0, the same spec now gives sha256:"):
        train(spec, tmp_path / "cut", resume=True, home=home)
    assert checkpoints.complete(tmp_path / "cut")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_kill_9_and_resume_on_the_command_line_give_the_weights_of_an_uninterrupted_run(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(**{"training.steps": 100, "training.save_every": 5})
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(spec.plain()))
    environment = {**os.environ, "ZOO_HOME": str(home.root), "OMP_NUM_THREADS": "1"}

    def command(out: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "zoo.cli.main", "train", str(file), "--out", str(tmp_path / out), *more]

    train(spec, tmp_path / "whole", home=home)
    process = subprocess.Popen(command("cut"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # As soon as there is something to resume from: in the middle of training, often of writing.
        while not (tmp_path / "cut" / checkpoints.FOLDER / "step-00000010").exists():
            assert process.poll() is None, "the run ended before it could be killed"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert json.loads((tmp_path / "cut" / "training.json").read_text())["status"] == "running"
    with pytest.raises(InputError, match="holds an interrupted run.*--resume"):
        train(spec, tmp_path / "cut", home=home)
    subprocess.run(command("cut", "--resume"), env=environment, check=True, capture_output=True)
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    assert not list(tmp_path.glob("cut/**/.tmp-*"))


def test_a_resumed_run_clips_updates_and_counts_clipped_steps_like_an_uninterrupted_one(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(
        **{
            "training.save_every": 7,
            "training.clipping": {"use": "per-group", "each": {"use": "norm", "max_norm": 0.5}},
            "training.update_clipping": {"use": "rms", "threshold": 0.8},
            "training.log_token_gradients": True,
        }
    )
    whole = train(spec, tmp_path / "whole", home=home)
    with pytest.MonkeyPatch.context() as patch:
        _kill_in_step(patch, 10)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    resumed = train(spec, tmp_path / "cut", resume=True, home=home)
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    assert resumed.curve == whole.curve
    assert 0 < whole.facts["update_clipping"]["clipped_fraction"] < 1
    for fact in ("clipping", "update_clipping", "token_bands"):
        assert resumed.facts[fact] == whole.facts[fact]
