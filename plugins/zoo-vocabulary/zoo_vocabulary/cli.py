"""`zoo vocab prune|extend`: argument handling."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import yaml
from pydantic import ValidationError

from zoo.cli.output import print_json
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError
from zoo.spec import load_spec
from zoo.spec.options import Chosen, Options, Slot
from zoo.tasks.contracts import Side

if TYPE_CHECKING:
    from zoo_vocabulary.texts import Corpus

_MODEL = click.argument("model", type=click.Path(path_type=Path))
_OUT = click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
_CORPUS = click.option(
    "--corpus",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="One text a line; repeatable.",
)
_SPEC = click.option(
    "--spec", type=click.Path(path_type=Path), metavar="SPEC", help="Take the training texts of this spec's task."
)
_SOURCE = click.option(
    "--source-corpus",
    "sources",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="The same, of texts that are sources; repeatable.",
)
_TARGET = click.option(
    "--target-corpus",
    "targets",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="The same, of texts that are targets; repeatable.",
)
_SIDE = click.option(
    "--side",
    type=click.Choice(["source", "target", "both"]),
    default="both",
    show_default=True,
    help="Which vocabulary, where source and target have one each.",
)


class _Choice(Options):
    init: Annotated[Chosen, Slot("vocabulary-init")]


@click.group("vocab", help="Prune or extend the vocabulary of a saved model.")
def vocab() -> None:
    """The group."""


@vocab.command("prune")
@_MODEL
@_OUT
@_CORPUS
@_SOURCE
@_TARGET
@_SPEC
@_SIDE
@click.option("--keep", type=click.Path(path_type=Path), metavar="FILE", help="One token a line (or id:42) that stays.")
@click.option("--min-count", type=click.IntRange(min=1), default=1, show_default=True, help="Least count in the texts.")
@click.option("--size", type=click.IntRange(min=1), metavar="N", help="Keep N tokens at the most, the frequent ones.")
@_JSON
def prune(
    model: Path,
    out: Path,
    files: tuple[Path, ...],
    sources: tuple[Path, ...],
    targets: tuple[Path, ...],
    spec: Path | None,
    side: str,
    keep: Path | None,
    min_count: int,
    size: int | None,
    as_json: bool,
) -> None:
    """Write MODEL without the tokens that no text needs.

    MODEL is a folder of 'zoo build' or 'zoo train', or of transformers. What stays computes the same logits.
    """
    texts = _Texts(files, sources, targets, spec)
    if not (texts or keep):
        raise InputError("say what is needed: --corpus FILE, --spec SPEC or --keep FILE")
    _refuse_occupied(out)
    from zoo_vocabulary.folder import open_model
    from zoo_vocabulary.prune import prune as pruned
    from zoo_vocabulary.prune import read_keep
    from zoo_vocabulary.sides import alone, chosen

    with TerminalProgress() as progress:
        corpus = texts.read(progress)
        saved = open_model(model)
        of = _side(side)
        kept = read_keep(keep, alone(chosen(saved.vocabularies, of), "--keep")) if keep is not None else []
        report = pruned(
            saved, out, corpus=corpus, keep=kept, min_count=min_count, size=size, side=of, progress=progress
        )
    _print(report, out, as_json)


@vocab.command("extend")
@_MODEL
@_OUT
@click.option("--tokens", type=click.Path(path_type=Path), metavar="FILE", help="The new tokens, one a line.")
@_CORPUS
@_SOURCE
@_TARGET
@_SPEC
@_SIDE
@click.option("--size", type=click.IntRange(min=1), metavar="N", help="N new tokens at the most, found in the texts.")
@click.option("--train", is_flag=True, help="Learn pairs of neighbouring tokens, not whole words.")
@click.option(
    "--init",
    default="mean-of-pieces",
    show_default=True,
    metavar="NAME",
    help="How the new rows start: 'zoo list vocabulary-init'; with options '{use: random, std: 0.02}'.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of what is drawn.")
@_JSON
def extend(
    model: Path,
    out: Path,
    tokens: Path | None,
    files: tuple[Path, ...],
    sources: tuple[Path, ...],
    targets: tuple[Path, ...],
    spec: Path | None,
    side: str,
    size: int | None,
    train: bool,
    init: str,
    seed: int,
    as_json: bool,
) -> None:
    """Write MODEL with new tokens, whose rows start as --init says. The logits of old tokens stay.

    With --tokens, texts are only read for the report.
    """
    texts = _Texts(files, sources, targets, spec)
    if tokens is None and not texts:
        raise InputError("say what is new: --tokens FILE, or --corpus FILE (or --spec SPEC) with --size N")
    if (tokens is None) != (size is not None):
        raise InputError("--size N goes with the texts that tokens are found in, and not with --tokens")
    if train and tokens is not None:
        raise InputError("--train learns from texts: it does not go with --tokens")
    _refuse_occupied(out)
    component = _init(init)
    from zoo_vocabulary.extend import extend as extended
    from zoo_vocabulary.extend import read_tokens
    from zoo_vocabulary.folder import open_model

    with TerminalProgress() as progress:
        new = read_tokens(tokens) if tokens is not None else []
        corpus = texts.read(progress)
        saved = open_model(model)
        report = extended(
            saved,
            out,
            component,
            tokens=new,
            corpus=corpus,
            size=size or 0,
            train=train,
            seed=seed,
            side=_side(side),
            progress=progress,
        )
    _print(report, out, as_json)


def _init(text: str) -> Chosen:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"expected a name or {{use: NAME, ...}}, found {text[:60]}", where="--init") from None
    try:
        return _Choice.model_validate({"init": value}).init
    except ValidationError as error:
        raise InputError(error.errors()[0]["msg"], where="--init") from None


@dataclass(frozen=True)
class _Texts:
    """The texts that were named."""

    files: tuple[Path, ...]
    sources: tuple[Path, ...]
    targets: tuple[Path, ...]
    spec: Path | None

    def __bool__(self) -> bool:
        return bool(self.files or self.sources or self.targets or self.spec)

    def read(self, progress: TerminalProgress) -> Corpus:
        from zoo_vocabulary.texts import Corpus

        spec = load_spec(self.spec) if self.spec is not None else None
        return Corpus.of(self.files, spec, progress, source=self.sources, target=self.targets)


def _side(name: str) -> Side | None:
    sides: dict[str, Side | None] = {"source": "source", "target": "target", "both": None}
    return sides[name]


def _refuse_occupied(out: Path) -> None:
    from zoo.training.building import refuse_occupied

    refuse_occupied(out)


def _print(report: dict[str, Any], out: Path, as_json: bool) -> None:
    from zoo_vocabulary.report import lines, shown

    if as_json:
        print_json({"directory": str(out), **shown(report)})
        return
    for line in lines(report, str(out)):
        click.echo(line)
