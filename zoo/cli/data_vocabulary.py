"""`zoo data vocabulary SPEC`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import InputError, visible
from zoo.spec import load_spec
from zoo.spec.peer_spec import refuse_peer

if TYPE_CHECKING:
    from zoo.training.watch.vocabulary_report import PartReport, VocabularyReport

_HEADINGS = (
    *("SPLIT", "TEXT", "EXAMPLES", "TOKENS/WORD", "TOKENS/CHAR", "LENGTHS", "TOO LONG"),
    *("KNOWN CHARS", "KNOWN WORDS", "BYTES", "VOCABULARY USED"),
)


@click.command("vocabulary")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set one value, such as tokenizer.use=bpe.")
@click.option("--cell", metavar="LABEL", help="The point of a grid to look at.")
@click.option(
    "--max-examples", type=click.IntRange(min=1), metavar="N", help="Look at N examples of each split. Default: 20000."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def vocabulary(spec: Path, sets: tuple[str, ...], cell: str | None, max_examples: int | None, as_json: bool) -> None:
    """Show what the tokenizers of SPEC make of its data: fertility, lengths, coverage, special tokens.

    Prepares the data and trains the tokenizers where an earlier run has not.
    """
    chosen = load_spec(spec, sets, cell=cell)
    refuse_peer(chosen)
    if chosen.model.finds_boxes:
        raise InputError("a detector reads no text and writes none: it has no tokenizers", where=str(spec))
    if chosen.model.makes_images:
        raise InputError("a generator makes images: it has no tokenizers", where=str(spec))

    from zoo.tasks import DataHome
    from zoo.training import prepare
    from zoo.training.watch.vocabulary_report import LIMIT, vocabulary_report

    with TerminalProgress() as progress:
        prepared = prepare(chosen, DataHome.default(), progress)
        report = vocabulary_report(
            chosen, prepared.task, prepared.tokenizers, limit=max_examples or LIMIT, progress=progress
        )
    if as_json:
        print_json(asdict(report))
    else:
        _print(report)


def _print(report: VocabularyReport) -> None:
    for facts in report.tokenizers:
        side = "both sides" if facts.side == "both" else facts.side
        tokens = ", ".join(f"{visible(token)} {identity}" for token, identity in facts.special_tokens.items())
        click.echo(f"{side}: {facts.component}, {facts.size} tokens ({tokens})")
    print_table([_row(part) for part in report.parts], _HEADINGS)
    click.echo(
        f"LENGTHS: shortest, quartiles, longest, in tokens; TOO LONG: above training.max_tokens {report.max_tokens}"
    )
    for part in report.parts:
        if part.unknown_characters:
            most = " ".join(f"{visible(char)} ({count})" for char, count in part.unknown_characters.items())
            click.echo(f"most frequent unknown characters of {part.split} {part.text}: {most}")


def _row(part: PartReport) -> tuple[str, ...]:
    number = str(part.examples) if part.examples == part.of else f"{part.examples} of {part.of}"
    lengths = " ".join(f"{value:g}" for value in part.lengths.values()) or "-"
    ratios = (
        f"{value:.3f}" if value is not None else "-" for value in (part.tokens_per_word, part.tokens_per_character)
    )
    shares = (part.too_long, part.known_characters, part.known_words, part.byte_tokens, part.vocabulary_used)
    percents = [f"{value:.2%}" if value is not None else "-" for value in shares]
    return (part.split, part.text, number, *ratios, lengths, *percents)
