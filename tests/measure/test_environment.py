from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path

import pytest
import torch

from zoo.measure.device import hardware_class
from zoo.measure.environment import environment, git_state


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "records").mkdir()
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_the_environment_is_json_and_names_what_runs() -> None:
    found = environment()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["packages"]["torch"] == torch.__version__ or found["packages"]["torch"] in torch.__version__
    assert found["python"] == platform.python_version()
    assert found["threads"] == torch.get_num_threads()
    assert found["ram_bytes"] > 2**28
    assert found["git"] is None


def test_the_commit_is_that_of_the_checkout_around_the_folder(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert git_state(repository / "records") == {"commit": commit, "dirty": False}
    assert git_state(repository / "records" / "not-there-yet") == {"commit": commit, "dirty": False}


def test_changed_and_new_files_make_it_dirty(repository: Path) -> None:
    (repository / "new.py").write_text("2\n")
    assert git_state(repository)["dirty"] is True  # type: ignore[index]
    (repository / "new.py").unlink()
    (repository / "code.py").write_text("2\n")
    assert git_state(repository)["dirty"] is True  # type: ignore[index]


def test_new_records_do_not_make_it_dirty(repository: Path) -> None:
    store = repository / "records"
    (store / "a.json").write_text("{}")
    assert git_state(store, ignoring=(store,))["dirty"] is False  # type: ignore[index]
    (repository / "code.py").write_text("2\n")
    assert git_state(store, ignoring=(store,))["dirty"] is True  # type: ignore[index]


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None


def test_the_hardware_class_names_its_device() -> None:
    assert hardware_class().startswith(("cpu: ", "cuda: "))
