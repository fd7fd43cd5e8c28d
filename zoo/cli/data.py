"""`zoo data`: corpora, and what is prepared of them."""

from __future__ import annotations

from typing import Annotated, Any

import click
from pydantic import Field, ValidationError

from zoo.cli.data_report import print_report
from zoo.cli.data_vocabulary import vocabulary
from zoo.cli.output import print_json, print_table
from zoo.cli.progress import TerminalProgress
from zoo.errors import ZooError
from zoo.registry import RegisteredComponent, current_registry
from zoo.spec.load import resolve_node
from zoo.spec.node import Entry, Mark, Node, mapping
from zoo.spec.options import Chosen, Options, Slot
from zoo.spec.overlay import apply_sets
from zoo.tasks import Corpus, DataHome, PreparedCorpus
from zoo.tasks.contracts import SPLITS
from zoo.tasks.corpus_report import corpus_report

_sets = click.option("--set", "sets", multiple=True, metavar="OPTION=VALUE", help="Set an option of the corpus.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Named(Options):
    corpus: Annotated[Chosen, Slot("corpus")] = Field(description="The corpus that the command line names")


def _corpus(name: str, sets: tuple[str, ...], verb: str) -> Corpus:
    """The corpus of that name with its options. Raises InputError for a wrong name or option."""
    mark = Mark(f"zoo data {verb} {name}")
    slot = mapping({"use": Entry(mark, Node(name, mark))}, mark)
    root = apply_sets(mapping({"corpus": Entry(mark, slot)}, mark), [f"corpus.{text}" for text in sets])
    corpus: Corpus = resolve_node(root, _Named, None).corpus.create()
    return corpus


def _found(item: RegisteredComponent) -> PreparedCorpus | None:
    """What is prepared of a corpus with its default options; nothing where it has required ones.

    A corpus that cannot be loaded costs a warning, not the list.
    """
    try:
        corpus: Corpus = Chosen(item, item.load_options().model_validate({})).create()
    except ValidationError:
        return None
    except ZooError as error:
        click.echo(f"zoo: warning: {error}", err=True)
        return None
    return corpus.find(DataHome.default())


def _summary(corpus: PreparedCorpus) -> dict[str, Any]:
    return {
        "name": corpus.name,
        "revision": corpus.revision,
        "languages": list(corpus.languages),
        "licence": corpus.licence,
        "pairs": {split: len(corpus.pairs(split)) for split in SPLITS},
        "facts": dict(corpus.facts),
    }


def _print(corpus: PreparedCorpus) -> None:
    sizes = ", ".join(f"{split} {len(corpus.pairs(split))}" for split in SPLITS)
    click.echo(f"{corpus.name}: {sizes} pairs ({'-'.join(corpus.languages)}, {corpus.licence})")
    click.echo(f"revision {corpus.revision}")
    for package, version in dict(corpus.facts.get("packages", {})).items():
        click.echo(f"from {package} {version}")
    for verb in ("dropped", "kept"):
        counts = sorted(dict(corpus.facts.get(verb, {})).items(), key=lambda item: (-item[1], item[0]))
        if told := ", ".join(f"{count} ({reason})" for reason, count in counts if count):
            click.echo(f"{verb} {told}")


@click.group("data")
def command() -> None:
    """List, prepare or show corpora, and what tokenizers make of them."""


command.add_command(vocabulary)


@command.command("list")
@_json
def list_corpora(as_json: bool) -> None:
    """List installed corpora, and which of them are prepared."""
    found = [(item, _found(item)) for item in current_registry().components("corpus")]
    if as_json:
        print_json(
            [
                {
                    "name": item.name,
                    "id": item.id,
                    "summary": item.summary,
                    "network": bool(item.traits.get("network")),
                    "prepared": _summary(corpus) if corpus else None,
                }
                for item, corpus in found
            ]
        )
        return
    rows = []
    for item, corpus in found:
        pairs = str(sum(len(corpus.pairs(split)) for split in SPLITS)) if corpus else "-"
        rows.append((item.name, pairs, corpus.revision[:19] if corpus else "-", item.summary))
    print_table(rows, ("CORPUS", "PAIRS", "PREPARED", "SUMMARY"))


@command.command("prepare")
@click.argument("name")
@_sets
@click.option("--refresh", is_flag=True, help="Ask the source again for a newer version.")
@_json
def prepare(name: str, sets: tuple[str, ...], refresh: bool, as_json: bool) -> None:
    """Fetch and build a corpus, or find it where an earlier run left it."""
    corpus = _corpus(name, sets, "prepare")
    home = DataHome.default()
    before = corpus.find(home)
    with TerminalProgress() as progress:
        prepared = corpus.refresh(home, progress) if refresh else corpus.prepare(home, progress)
    if before is not None and before.revision != prepared.revision:
        click.echo(f"the source has changed: revision was {before.revision}", err=True)
    if as_json:
        print_json(_summary(prepared))
    else:
        _print(prepared)


@command.command("show")
@click.argument("name")
@_sets
@click.option("--samples", type=click.IntRange(0, 10_000), default=20, show_default=True, help="Pairs to print.")
@_json
def show(name: str, sets: tuple[str, ...], samples: int, as_json: bool) -> None:
    """Report on a prepared corpus: sizes, lengths, licences, alignment, samples."""
    prepared = _corpus(name, sets, "show").find(DataHome.default())
    if prepared is None:
        raise ZooError(f"corpus {name} is not prepared with these options: run 'zoo data prepare {name}'")
    report = corpus_report(prepared, samples=samples)
    if as_json:
        print_json(report)
    else:
        print_report(report)
