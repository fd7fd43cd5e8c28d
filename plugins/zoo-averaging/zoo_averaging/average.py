"""From folders of trained models to a folder of their average."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from safetensors.torch import save_file

from zoo.atomic import atomic_directory
from zoo.errors import InputError
from zoo.models.tokenizers import TARGET_FOLDER
from zoo.tasks.contracts import Progress, silent
from zoo.training.building import refuse_occupied
from zoo.training.outcome import TRAINING_FILE, TrainingOutcome, write_outcome
from zoo.training.quiet import errors_only, quiet
from zoo_averaging.inputs import WEIGHTS, Input, find_inputs, same_start
from zoo_averaging.scoring import LOSS, Scorer
from zoo_averaging.soup import averaged, greedy_soup

REPORT = "average.json"
FORMAT = "zoo.average/1"
Method = Literal["uniform", "greedy"]
_COPIED = {".json", ".model", ".txt", ".spm", ".jinja", ".yaml"}
"""Configuration, tokenizers and lock; never weights, never code."""
_NOT_COPIED = (".index.json", TRAINING_FILE, REPORT)


@dataclass(frozen=True)
class Ingredient:
    """One of the averaged models, in the order in which they were looked at."""

    path: str
    step: int | None
    sha256: str
    """Of the bytes of its weights."""
    share: float
    """Its weight in the average; 0: left out."""
    score: float | None = None
    """Its own, on the development split."""
    soup_score: float | None = None
    """That of the greedy soup with it."""


@dataclass(frozen=True)
class Report:
    """What was averaged, as ``average.json`` holds it."""

    method: Method
    by: str | None
    """What was scored on the development split: ``loss`` or a metric."""
    score: float | None
    """That of the average."""
    same_start: bool | None
    """Whether the models began with the same weights; None where it is not known."""
    inputs: tuple[Ingredient, ...]
    format: str = FORMAT


@quiet()
@errors_only()
def average(
    folders: Sequence[Path],
    out: Path,
    *,
    method: Method = "uniform",
    last: int | None = None,
    weights: Sequence[float] | None = None,
    by: str | None = None,
    progress: Progress = silent,
) -> Report:
    """Average the models in `folders` (see `find_inputs`) and write the result under `out`: all of it or nothing.

    uniform: the mean of all, weighted by `weights` (scaled to add up to 1) or equal. greedy: of those that do not make
    it worse on the development split (`greedy_soup`), by the loss unless `by` says otherwise. The folder is read like a
    run's. Raises InputError where the models do not go together, or `out` holds something.
    """
    refuse_occupied(out)
    inputs = find_inputs(folders, last)
    shares = None if weights is None else _shares(weights, len(inputs))
    if method == "greedy":
        if shares is not None:
            raise InputError("a greedy soup weighs its models equally: leave out the weights", where="--weights")
        by = by or LOSS
    scorer = None if by is None else Scorer(inputs, by, progress)
    scores: list[float] | None = None
    if scorer is not None:
        scores = [_told(progress, place, len(inputs), scorer([place])) for place in range(len(inputs))]
    order = list(range(len(inputs)))
    tried: dict[int, float] = {}
    score: float | None
    if method == "greedy":
        assert scorer is not None
        assert scores is not None
        soup = greedy_soup(scores, scorer, higher=scorer.higher)
        order, taken, score = soup.order, soup.taken, soup.score
        tried = dict(zip(soup.order, soup.tried, strict=True))
    else:
        taken = order
        score = None if scorer is None else scorer(order, shares)
    parts = shares if shares is not None else [1 / len(taken)] * len(taken)
    share_of = dict(zip(taken, parts, strict=True))
    report = Report(
        method,
        by,
        score,
        same_start(inputs),
        tuple(
            Ingredient(
                path=str(inputs[place].folder),
                step=inputs[place].step,
                sha256=inputs[place].sha256(),
                share=share_of.get(place, 0.0),
                score=None if scores is None else scores[place],
                soup_score=tried.get(place),
            )
            for place in order
        ),
    )
    _write(out, inputs, [inputs[place] for place in taken], shares, report)
    return report


def _told(progress: Progress, place: int, count: int, score: float) -> float:
    progress("scoring", place + 1, count)
    return score


def _shares(weights: Sequence[float], count: int) -> list[float]:
    where = f"--weights {','.join(f'{weight:g}' for weight in weights)}"
    if len(weights) != count:
        raise InputError(f"expected {count} numbers, one for each model, found {len(weights)}", where=where)
    if any(not 0 < weight < float("inf") for weight in weights):
        raise InputError("expected numbers above 0", where=where)
    return [weight / sum(weights) for weight in weights]


def _write(
    out: Path, inputs: Sequence[Input], taken: Sequence[Input], shares: Sequence[float] | None, report: Report
) -> None:
    refuse_occupied(out)  # again: scoring took its time, and what came meanwhile would be replaced
    source = inputs[0].run or inputs[0].folder
    with atomic_directory(out) as temporary:
        for file in sorted(source.iterdir()):
            if file.is_file() and file.suffix in _COPIED and not file.name.endswith(_NOT_COPIED):
                shutil.copyfile(file, temporary / file.name)
        if (source / TARGET_FOLDER).is_dir():
            shutil.copytree(source / TARGET_FOLDER, temporary / TARGET_FOLDER)
        save_file(dict(averaged(taken, shares)), temporary / WEIGHTS, metadata={"format": "pt"})
        outcome = _outcome(inputs, report)
        if outcome is not None:
            write_outcome(outcome, temporary)
        (temporary / REPORT).write_text(json.dumps(asdict(report), indent=1, allow_nan=False) + "\n")


def _outcome(inputs: Sequence[Input], report: Report) -> TrainingOutcome | None:
    """What the folder says of training: that of all models that went in; None where they are of no runs."""
    outcomes = {one.run: one.outcome for one in inputs}
    known = [outcome for outcome in outcomes.values() if outcome is not None]
    if len(known) < len(outcomes):
        return None
    step = max(one.step or 0 for one in inputs)
    return TrainingOutcome(
        status="ok",
        error=None,
        steps=step,
        total_steps=step,
        model_step=step,
        seconds=sum(outcome.seconds for outcome in known),
        tokens_per_second=None,
        facts={"average": {"method": report.method, "models": sum(one.share > 0 for one in report.inputs)}},
    )
