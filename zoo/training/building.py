"""From a spec to a folder with an assembled, untrained model that loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.atomic import atomic_directory
from zoo.errors import InputError
from zoo.models import assemble, weights_hash
from zoo.models.configuration import NO_TOKENS
from zoo.models.decoding import Decoding
from zoo.models.pretrained import GraftReport, graft_weights
from zoo.models.pretrained.report import write_report
from zoo.models.pretrained.vocabulary import Vocabulary, pretrained_vocabulary
from zoo.models.tokenizers import Tokenizers, save_tokenizers
from zoo.spec import Spec
from zoo.spec.lock import LOCK_NAME, write_lock
from zoo.tasks import DataHome
from zoo.tasks.contracts import Progress, silent
from zoo.training.categories import categories_of
from zoo.training.data.images import image_of
from zoo.training.outcome import TrainingOutcome, read_outcome, write_outcome
from zoo.training.preparation import Prepared, prepare, takes_pretrained_tokenizer, tokenizers_hash
from zoo.training.quiet import quiet
from zoo.training.seeds import seed_of


@dataclass(frozen=True)
class Built:
    """A built model: the folder and what stands in it."""

    directory: Path
    model: Any
    tokenizers: Tokenizers
    prepared: Prepared
    report: GraftReport | None = None
    """What of a pretrained model the model has, where the spec begins with one."""

    def content(self) -> dict[str, str]:
        """Content hashes, as the lock file holds them."""
        return content_hashes(self.model, self.prepared, self.report)


@quiet()
def build(spec: Spec, out: Path, home: DataHome | None = None, *, progress: Progress = silent) -> Built:
    """Assemble the model of `spec` and write a folder that `from_pretrained` loads, with its lock file, atomically.

    Raises InputError where `out` already holds something.
    """
    refuse_occupied(out)
    prepared = prepare(spec, home or DataHome.default(), progress)
    model, report = assemble_with_report(spec, prepared)
    write_folder(spec, out, model, prepared, report)
    return Built(out, model, prepared.tokenizers, prepared, report)


def assemble_for(spec: Spec, prepared: Prepared) -> Any:
    """The model with its initial weights and its spec's way of decoding."""
    return assemble_with_report(spec, prepared)[0]


def assemble_with_report(spec: Spec, prepared: Prepared) -> tuple[Any, GraftReport | None]:
    """The same, and what the model has of the pretrained one that its spec begins with."""
    if spec.model.finds_boxes:
        return _detector(spec, prepared), None
    if spec.model.makes_images:
        return _generator(spec, prepared), None
    keeps = takes_pretrained_tokenizer(spec)
    vocabulary = pretrained_vocabulary(spec.model, prepared.tokenizers) if keeps else Vocabulary.of(prepared.tokenizers)
    model = assemble(
        spec.model,
        vocabulary.size,
        source_vocabulary_size=vocabulary.source_size,
        seed=seed_of(spec, "initialization"),
        spec=spec,
        token_ids=vocabulary.token_ids,
    )
    report = None
    if spec.model.pretrained is not None:
        report = graft_weights(model, spec.model, vocabulary_kept=keeps)
    model.generation_config.update(**vocabulary.generation)
    strategy: Decoding = spec.decoding.strategy.create()
    model.refuse_search(strategy.settings())
    model.generation_config.update(**strategy.settings(), max_new_tokens=spec.decoding.max_new_tokens)
    return model, report


def _detector(spec: Spec, prepared: Prepared) -> Any:
    """The detector of a spec, with a class for each category of its task."""
    names = categories_of(prepared.task)
    if not names:
        raise InputError("the task has no box in any of its images: there is nothing to learn")
    classes = {"categories": list(names), "id2label": dict(enumerate(names.values()))}
    return assemble(spec.model, len(names), seed=seed_of(spec, "initialization"), spec=spec, token_ids=classes)


def _generator(spec: Spec, prepared: Prepared) -> Any:
    """The generator of a spec, for images of the size that its task's first one has."""
    first = next(iter(prepared.task.examples("train")), None)
    if first is None:
        raise InputError("the task has no examples to train on")
    said = {**NO_TOKENS, "image_size": list(image_of(first).size)}
    return assemble(spec.model, 1, seed=seed_of(spec, "initialization"), spec=spec, token_ids=said)


def write_folder(
    spec: Spec,
    out: Path,
    model: Any,
    prepared: Prepared,
    report: GraftReport | None = None,
    outcome: TrainingOutcome | None = None,
) -> None:
    """Write model, tokenizers and lock (an image processor, for a model that reads images; `outcome`, for a run that
    begins) under `out`: all of it or nothing."""
    refuse_occupied(out)  # again: preparing the data took its time, and what came meanwhile would be replaced
    with atomic_directory(out) as temporary:
        model.save_pretrained(temporary)
        save_tokenizers(prepared.tokenizers, temporary)
        write_lock(temporary / LOCK_NAME, spec, content_hashes(model, prepared, report))
        if report is not None:
            write_report(report, temporary)
        if outcome is not None:
            write_outcome(outcome, temporary)


def content_hashes(model: Any, prepared: Prepared, report: GraftReport | None = None) -> dict[str, str]:
    """Hashes of data, tokenizers and weights, and of the pretrained model that the weights were read from."""
    return {
        **({} if report is None else {"pretrained": report.revision}),
        "data": prepared.task.revision,
        **({} if prepared.tokenizers.source is None else {"tokenizer": tokenizers_hash(prepared.tokenizers)}),
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
