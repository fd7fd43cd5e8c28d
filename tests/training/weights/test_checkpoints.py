"""A checkpoint is complete or does not count."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from zoo.errors import ZooError
from zoo.training.weights import checkpoints


class Model(nn.Linear):
    """Saves itself as transformers' models do."""

    def __init__(self, value: float = 0.0, size: int = 4) -> None:
        super().__init__(2, size)
        nn.init.constant_(self.weight, value)

    def save_pretrained(self, folder: Path) -> None:
        save_file(self.state_dict(), folder / checkpoints.WEIGHTS)


def save(run: Path, step: int, keep: int = 9) -> checkpoints.Checkpoint:
    return checkpoints.save(run, step, Model(float(step)), {"step": step}, keep=keep)


def steps(run: Path) -> list[int]:
    return [checkpoint.step for checkpoint in checkpoints.complete(run)]


def test_weights_and_state_come_back(tmp_path: Path) -> None:
    save(tmp_path, 5)
    (found,) = checkpoints.complete(tmp_path)
    model = Model()
    found.load_weights(model)
    assert torch.equal(model.weight, torch.full((4, 2), 5.0))
    assert found.load_state() == {"step": 5}


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (2, 9, 10, 100):
        save(tmp_path, step, keep=2)
    assert steps(tmp_path) == [10, 100]
    assert sorted(path.name for path in (tmp_path / checkpoints.FOLDER).iterdir()) == ["step-00000010", "step-00000100"]


@pytest.mark.parametrize("damage", ["no marker", "cut file", "lost file", "marker that is no JSON"])
def test_a_damaged_one_is_not_seen_and_is_removed(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 1)
    broken = save(tmp_path, 2).path
    weights = broken / checkpoints.WEIGHTS
    if damage == "no marker":
        (broken / checkpoints.MARKER).unlink()
    elif damage == "cut file":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "lost file":
        weights.unlink()
    else:
        (broken / checkpoints.MARKER).write_text('{"step": 2')
    assert steps(tmp_path) == [1]
    assert checkpoints.clean(tmp_path) == [broken]
    assert not broken.exists()
    assert steps(tmp_path) == [1]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    save(tmp_path, 1)
    half = tmp_path / checkpoints.FOLDER / ".tmp-abc"
    shutil.copytree(tmp_path / checkpoints.FOLDER / "step-00000001", half)
    assert steps(tmp_path) == [1]
    assert checkpoints.clean(tmp_path) == [half]
    assert not half.exists()


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="do not fit the model"):
        save(tmp_path, 1).load_weights(Model(size=5))


def test_a_run_without_checkpoints_has_none(tmp_path: Path) -> None:
    assert checkpoints.complete(tmp_path) == []
    assert checkpoints.clean(tmp_path) == []
