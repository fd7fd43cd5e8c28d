"""`zoo show KIND/NAME` and `zoo show SPEC`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from zoo.cli.output import print_json, print_table
from zoo.cli.show_model import Sizes, show_model
from zoo.errors import InputError
from zoo.registry import RegisteredComponent, current_registry
from zoo.spec.describe import option_rows

_TOKENS = click.IntRange(1, 10_000_000)
_VOCABULARY = click.IntRange(4, 10_000_000)  # every tokenizer has four special tokens


def _split(text: str) -> tuple[str, str]:
    kind, slash, name = text.partition("/")
    if not slash or not name:
        found = sorted(f"{item.kind}/{item.name}" for item in current_registry().components() if item.name == text)
        meant = f"did you mean '{found[0]}'?" if found else "'zoo list' names all"
        raise InputError(f"expected KIND/NAME or the file of a spec, found '{text}': {meant}", where="zoo show")
    return kind, name


def _options(item: RegisteredComponent) -> list[dict[str, Any]]:
    return [
        {
            "name": row.name,
            "type": row.type,
            "default": "required" if row.required else row.default,
            "description": row.description,
        }
        for row in option_rows(item.load_options())
    ]


@click.command("show")
@click.argument("what", metavar="KIND/NAME|SPEC")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Of a spec: set one value.")
@click.option("--cell", metavar="LABEL", help="Of a spec: the point of its grid to show; all where absent.")
@click.option(
    "--source-tokens", type=_TOKENS, default=32, show_default=True, help="Of a spec: source to count FLOPs of."
)
@click.option(
    "--target-tokens", type=_TOKENS, default=32, show_default=True, help="Of a spec: target to count FLOPs of."
)
@click.option(
    "--context-tokens", type=_TOKENS, default=32, show_default=True, help="The same, of a model that reads a context."
)
@click.option("--vocabulary", type=_VOCABULARY, help="Of a spec: tokens. Default: what its tokenizer is asked for.")
@click.option("--source-vocabulary", type=_VOCABULARY, help="The same, of a source with a tokenizer of its own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    ctx: click.Context,
    what: str,
    sets: tuple[str, ...],
    cell: str | None,
    source_tokens: int,
    target_tokens: int,
    context_tokens: int,
    vocabulary: int | None,
    source_vocabulary: int | None,
    as_json: bool,
) -> None:
    """Show one component (options, papers, plugin), or how many parameters and FLOPs the model of a spec has."""
    if what.endswith((".yaml", ".yml")) or Path(what).is_file():
        sizes = Sizes(source_tokens, target_tokens, context_tokens, vocabulary, source_vocabulary)
        show_model(Path(what), sets, cell, sizes, as_json=as_json)
    else:
        for option in ctx.command.params:
            given = ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
            if given and option.name not in {"what", "as_json"}:
                raise InputError(f"'{what}' is no file of a spec, which {option.opts[0]} is for", where="zoo show")
        _show_component(what, as_json=as_json)


def _show_component(component: str, *, as_json: bool) -> None:
    item = current_registry().get(*_split(component))
    options = _options(item)
    if as_json:
        print_json(
            {
                "kind": item.kind,
                "name": item.name,
                "id": item.id,
                "version": item.version,
                "summary": item.summary,
                "references": list(item.component.references),
                "traits": dict(item.traits),
                "target": item.component.target,
                "options": options,
            }
        )
        return
    click.echo(f"{item.kind}/{item.name}  ({item.id} {item.version})")
    click.echo(item.summary)
    if item.component.references:
        click.echo("Papers: " + ", ".join(item.component.references))
    for name, value in item.traits.items():
        click.echo(f"{name}: {value}")
    click.echo("")
    if options:
        rows = [(row["name"], str(row["type"]), _shown(row["default"]), row["description"]) for row in options]
        print_table(rows, ("OPTION", "TYPE", "DEFAULT", "MEANING"))
    else:
        click.echo("No options.")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
