"""Checkpoints that are complete or do not count."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_model
from torch import nn

from zoo.atomic import TEMPORARY_PREFIX, atomic_directory, sweep
from zoo.errors import ZooError
from zoo.spec.pretrained.zoo_folder import CHECKPOINTS, COMPLETE
from zoo.training.weights.statefile import load_state, save_state

FOLDER = CHECKPOINTS
MARKER = COMPLETE
"""Written last: the step and the size of every other file. Without it, or with another size, it is no checkpoint."""
WEIGHTS = "model.safetensors"
_STATE = "state"
_NAME = "step-{:08d}"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    path: Path
    step: int

    def load_weights(self, model: nn.Module) -> None:
        """Fill `model` in place. Raises ZooError where the weights are another model's."""
        try:
            load_model(model, self.path / WEIGHTS, strict=True)
        except (RuntimeError, OSError) as error:
            raise ZooError(f"{self.path}: these weights do not fit the model: {_first_line(error)}") from error

    def load_state(self) -> dict[str, Any]:
        """Everything else that training was made of, as `save` got it."""
        state: dict[str, Any] = load_state(self.path / _STATE)
        return state


def save(run: Path, step: int, model: Any, state: dict[str, Any], *, keep: int) -> Checkpoint:
    """Write the checkpoint of `step` and remove all but the newest `keep`. The folder loads with `from_pretrained`."""
    folder = run / FOLDER / _NAME.format(step)
    with atomic_directory(folder) as temporary:
        model.save_pretrained(temporary)
        save_state(temporary / _STATE, state)
        sizes = {file.name: file.stat().st_size for file in sorted(temporary.iterdir())}
        (temporary / MARKER).write_text(json.dumps({"step": step, "files": sizes}, indent=1) + "\n")
    for old in complete(run)[:-keep]:
        _remove(old.path)
    return Checkpoint(folder, step)


def complete(run: Path) -> list[Checkpoint]:
    """The complete checkpoints of a run, oldest first."""
    found = [_read(path) for path in (run / FOLDER).glob("step-*")]
    return sorted((checkpoint for checkpoint in found if checkpoint is not None), key=lambda item: item.step)


def clean(run: Path) -> list[Path]:
    """Remove what is not a complete checkpoint; return what was removed. Call only where no writer is at work."""
    removed = sweep(run / FOLDER)
    for path in sorted((run / FOLDER).glob("step-*")):
        if _read(path) is None:
            _remove(path)
            removed.append(path)
    return removed


def _read(path: Path) -> Checkpoint | None:
    try:
        marker = json.loads((path / MARKER).read_text())
        step, files = int(marker["step"]), dict(marker["files"])
        if all((path / name).stat().st_size == size for name, size in files.items()):
            return Checkpoint(path, step)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def _remove(path: Path) -> None:
    # Out of sight first: a kill half-way through the deletion must not leave something that looks like a checkpoint.
    doomed = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=path.parent))
    path.rename(doomed / path.name)
    shutil.rmtree(doomed)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
