"""The folder of a run: whether one may begin or go on there, and who holds it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo.errors import InputError, ZooError
from zoo.spec import Spec, spec_hash
from zoo.spec.lock import LOCK_NAME, read_lock
from zoo.training.building import refuse_occupied
from zoo.training.components import refuse_unfit_training
from zoo.training.outcome import TrainingOutcome, read_outcome
from zoo.training.processes.world import World, refuse_uneven, training_device


def entered(spec: Spec, out: Path, resume: bool, world: World) -> tuple[bool, TrainingOutcome | None]:
    """Whether there is a run in `out` to go on with, and its outcome where that is finished."""
    refuse_uneven(spec, world.size)
    if resume and out.is_dir() and any(out.iterdir()):
        finished = _resumable(spec, out)
        if finished is None:
            refuse_unfit_training(spec.training, training_device())
        return True, finished
    refuse_occupied(out)
    refuse_unfit_training(spec.training, training_device())
    return False, None


def _resumable(spec: Spec, out: Path) -> TrainingOutcome | None:
    """None where `out` holds an interrupted run of `spec`, its outcome where that is finished; else InputError."""
    outcome = read_outcome(out)
    if outcome is None:
        refuse_occupied(out)
        raise AssertionError("unreachable: an occupied folder is refused")
    locked = read_lock(out / LOCK_NAME)
    if spec_hash(locked.spec) != spec_hash(spec):
        difference = _first_difference(locked.spec.plain(), spec.plain())
        raise InputError(
            f"holds a run of another spec ('{locked.spec.name}', {difference}); choose another folder",
            where=f"--out {out}",
        )
    return None if outcome.status == "running" else outcome


def refuse_other_content(out: Path, content: dict[str, str]) -> None:
    """Raise ZooError where data, tokenizer or initial weights are not those that the run in `out` began with."""
    locked = read_lock(out / LOCK_NAME).file.content.model_dump(exclude_none=True)
    for name, value in locked.items():
        if content[name] != value:
            raise ZooError(
                f"{out}: the run cannot go on: its {name} was {value}, the same spec now gives {content[name]}; "
                "put back the versions or data it began with, or start anew in another folder"
            )


def _first_difference(there: Any, here: Any, path: str = "") -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*there, *here]):
            if key not in {"name", "description"} and there.get(key) != here.get(key):
                return _first_difference(there.get(key), here.get(key), f"{path}.{key}" if path else str(key))
    return f"{path}: there {there}, here {here}"


def begun(spec: Spec, out: Path) -> TrainingOutcome:
    """The outcome of a run that is not finished."""
    return TrainingOutcome("running", "not finished", 0, spec.training.steps, 0, 0.0, None, directory=out)


@contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Hold the folder's advisory lock; the system frees it if this process dies. Raises ZooError where it is held."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ZooError(f"{folder}: another process is training here") from None
    finally:
        os.close(descriptor)
