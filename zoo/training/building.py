"""From a spec to a folder with an assembled, untrained model that loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.atomic import atomic_directory
from zoo.errors import InputError
from zoo.models import assemble, weights_hash
from zoo.models.decoding import Decoding
from zoo.models.tokenizers import Tokenizers, save_tokenizers
from zoo.spec import Spec
from zoo.spec.lock import LOCK_NAME, write_lock
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, silent
from zoo.training.outcome import TrainingOutcome, read_outcome, write_outcome
from zoo.training.preparation import Prepared, prepare, tokenizers_hash
from zoo.training.quiet import quiet
from zoo.training.seeds import stream_seed


@dataclass(frozen=True)
class Built:
    """A built model: the folder and what stands in it."""

    directory: Path
    model: Any
    tokenizers: Tokenizers
    prepared: Prepared

    def content(self) -> dict[str, str]:
        """Content hashes, as the lock file holds them."""
        return content_hashes(self.model, self.prepared)


@quiet()
def build(spec: Spec, out: Path, home: DataHome | None = None, *, progress: Progress = silent) -> Built:
    """Assemble the model of `spec` and write a folder that `from_pretrained` loads, with its lock file, atomically.

    Raises InputError where `out` already holds something.
    """
    refuse_occupied(out)
    prepared = prepare(spec, home or DataHome.default(), progress)
    model = assemble_for(spec, prepared)
    write_folder(spec, out, model, prepared)
    return Built(out, model, prepared.tokenizers, prepared)


def assemble_for(spec: Spec, prepared: Prepared) -> Any:
    """The model with its initial weights and its spec's way of decoding."""
    tokenizers = prepared.tokenizers
    model = assemble(
        spec.model,
        len(tokenizers.target),
        source_vocabulary_size=tokenizers.source_vocabulary_size,
        seed=stream_seed(spec.seed, "initialisation"),
        spec=spec,
    )
    strategy: Decoding = spec.decoding.strategy.create()
    model.generation_config.update(**strategy.settings(), max_new_tokens=spec.decoding.max_new_tokens)
    return model


def write_folder(spec: Spec, out: Path, model: Any, prepared: Prepared, outcome: TrainingOutcome | None = None) -> None:
    """Write model, tokenizers and lock (and `outcome`, for a run that begins) under `out`: all of it or nothing."""
    refuse_occupied(out)  # again: preparing the data took its time, and what came meanwhile would be replaced
    with atomic_directory(out) as temporary:
        model.save_pretrained(temporary)
        save_tokenizers(prepared.tokenizers, temporary)
        write_lock(temporary / LOCK_NAME, spec, content_hashes(model, prepared))
        if outcome is not None:
            write_outcome(outcome, temporary)


def content_hashes(model: Any, prepared: Prepared) -> dict[str, str]:
    """Hashes of data, tokenizers and weights."""
    return {
        "data": prepared.task.revision,
        "tokenizer": tokenizers_hash(prepared.tokenizers),
        "weights": weights_hash(model),
    }


def refuse_occupied(out: Path) -> None:
    """Raise InputError where something is at `out`, saying what; an empty folder is as good as none."""
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError("is a file; expected a folder that does not exist yet", where=f"--out {out}")
    if not any(out.iterdir()):
        return
    raise InputError(f"{_what_is_in(out)}; choose another folder, or remove this one first", where=f"--out {out}")


def _what_is_in(folder: Path) -> str:
    outcome = read_outcome(folder)
    if outcome is not None and outcome.status == "running":
        return "holds an interrupted run: 'zoo train ... --resume' continues it"
    if outcome is not None:
        return f"already holds a finished run (status {outcome.status})"
    if (folder / LOCK_NAME).is_file():
        return "already holds a built model"
    return "is not empty, and not a run of zoo"
