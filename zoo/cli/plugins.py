"""`zoo plugins list|doctor|new`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.output import print_json, print_table
from zoo.errors import ZooError
from zoo.registry import PluginReport, Registry, current_registry


@click.group("plugins")
def command() -> None:
    """List plugins, find out what is wrong with them, or begin one of your own."""


def _row(report: PluginReport) -> dict[str, object]:
    return {
        "distribution": report.distribution,
        "version": report.version,
        "module": report.module,
        "status": report.status,
        "reason": report.reason,
        "kinds": list(report.kinds),
        "components": list(report.components),
    }


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_plugins(as_json: bool) -> None:
    """List installed plugins with their status."""
    reports = current_registry().plugins
    if as_json:
        print_json([_row(report) for report in reports])
        return
    rows = [(r.distribution, r.version, r.status, str(len(r.components)), r.reason) for r in reports]
    print_table(rows, ("PLUGIN", "VERSION", "STATUS", "COMPONENTS", "REASON"))


def _problems(registry: Registry) -> list[tuple[str, str]]:
    found = [(r.distribution, f"{r.module}: {r.reason}") for r in registry.plugins if r.status == "broken"]
    found += [
        (r.distribution, f"{r.module} yields no kind and no component: is '@hookimpl' missing?")
        for r in registry.plugins
        if r.status == "ok" and not r.components and not r.kinds
    ]
    for item in registry.components():
        for load in (item.load_options, item.load):
            try:
                load()
            except ZooError as error:
                found.append((item.distribution, str(error).removesuffix("; run 'zoo plugins doctor'")))
    seen: dict[tuple[str, str], list[str]] = {}
    for item in registry.components():
        seen.setdefault((item.kind, item.name), []).append(item.id)
    for (kind, name), ids in seen.items():
        if len(ids) > 1:
            found.append((ids[0].partition("/")[0], f"{kind} '{name}' collides: write one of {', '.join(ids)}"))
    return found


@command.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """Import everything that is installed and say what is wrong. Exit status 1 where something is."""
    registry = current_registry()
    problems = _problems(registry)
    if as_json:
        print_json({"plugins": [_row(r) for r in registry.plugins], "problems": [list(p) for p in problems]})
    else:
        for distribution, problem in problems:
            click.echo(f"{distribution}: {problem}")
        blocked = [r.distribution for r in registry.plugins if r.status == "blocked"]
        if blocked:
            click.echo(f"blocked: {', '.join(blocked)}")
        click.echo(
            f"{len(registry.plugins)} plugins, {len(registry.components())} components, {len(problems)} problems"
        )
    return 1 if problems else 0


@command.command("new")
@click.argument("name")
@click.option("--kind", default="position", show_default=True, help="Kind of its component.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write; ./NAME where absent.")
def new(name: str, kind: str, out: Path | None) -> None:
    """Write a package NAME with one component that works, its tests, and a spec that uses it."""
    from zoo.scaffold import write_plugin

    folder = out or Path(name)
    files = write_plugin(name, kind, folder)
    for file in files:
        click.echo(str(folder / file))
    click.echo(f"next: pip install -e '{folder}[test]' && cd '{folder}' && pytest && zoo check spec.yaml")
