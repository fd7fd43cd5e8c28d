"""`zoo build SPEC --out DIR`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo import startup
from zoo.cli.output import print_json
from zoo.cli.progress import TerminalProgress
from zoo.spec import load_spec
from zoo.spec.lock import drift, is_lock, read_lock
from zoo.spec.reader import read_file


@click.command("build")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder to write.")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set one value, such as model.heads=8.")
@click.option("--cell", metavar="LABEL", help="The point of a grid to build.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: content hashes, and what of a pretrained model is kept."
)
def command(spec: Path, out: Path, sets: tuple[str, ...], cell: str | None, as_json: bool) -> None:
    """Assemble the model of SPEC, untrained, in a folder that transformers loads.

    Where SPEC begins with a pretrained model, what is kept of it is told, and written to graft.json beside the model.

    SPEC may also be a zoo.lock.yaml: then what has drifted since it was written is told, and the exit status is 1 if
    that made another model.
    """
    # A lock file is compared only as it stands: with --set another model is what was asked for.
    lock = read_lock(spec) if is_lock(read_file(spec)) and not sets and cell is None else None
    chosen = lock.spec if lock is not None else load_spec(spec, sets, cell=cell)

    from zoo.training import build
    from zoo.training.building import refuse_occupied

    startup.imported()
    refuse_occupied(out)
    with TerminalProgress() as progress:
        built = build(chosen, out, progress=progress)
    content = built.content()
    if as_json:
        graft = None if built.report is None else built.report.plain()
        print_json({"name": chosen.name, "directory": str(out), "content": content, "graft": graft})
    else:
        click.echo(f"built {chosen.name} in {out}")
        for line in built.report.lines() if built.report is not None else ():
            click.echo(line)
    if lock is None:
        return
    report = drift(lock, content)
    for line in report.lines():
        click.echo(line, err=True)
    locked = lock.file.content.model_dump(exclude_none=True)
    if any(content[name] != value for name, value in locked.items()):
        click.echo("zoo: this is not the locked model: its data, tokenizer or weights differ", err=True)
        raise click.exceptions.Exit(1)
