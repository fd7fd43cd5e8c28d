"""`zoo leaderboard build` and `zoo leaderboard serve`."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.cli.output import print_json

STORE = Path("leaderboard/records")
SITE = Path("leaderboard/site")
FIGURES = Path("leaderboard/figures")


@click.group("leaderboard")
def command() -> None:
    """Build or serve the leaderboard site."""


@command.command("build")
@click.option("--store", type=click.Path(path_type=Path), default=STORE, show_default=True, help="Folder of records.")
@click.option("--out", type=click.Path(path_type=Path), default=SITE, show_default=True, help="Folder of the site.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    default=FIGURES,
    show_default=True,
    help="Folder of published figures, if there is one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def build(store: Path, out: Path, figures: Path, as_json: bool) -> None:
    """Make the static site from the records; open its index.html, no server is needed."""
    from zoo.bench.store import RecordStore
    from zoo.errors import InputError
    from zoo.site import build_site

    if not store.is_dir():
        raise InputError("no record folder here; 'zoo bench SPEC --store DIR' makes one", where=f"--store {store}")
    reading = RecordStore(store).read()
    report = build_site(reading.records, out, reading.problems, store=store, figures=figures)
    if as_json:
        print_json(
            {
                "index": str(report.index),
                "records": report.records,
                "models": report.models,
                "boards": list(report.boards),
                "problems": [{"file": item.place, "message": item.message} for item in report.problems],
            }
        )
        return
    for problem in report.problems:
        click.echo(f"zoo: left out {problem}", err=True)
    counts = f"records: {report.records}, models and baselines: {report.models}, boards: {len(report.boards)}"
    click.echo(f"{report.index} ({counts})")


@command.command("serve")
@click.option("--out", type=click.Path(path_type=Path), default=SITE, show_default=True, help="Folder of the site.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
def serve(out: Path, port: int) -> None:
    """Serve a built site to this machine only (127.0.0.1) until interrupted."""
    from zoo.site.serve import site_server

    with site_server(out, port) as server:
        click.echo(f"http://127.0.0.1:{server.server_address[1]}/  (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("", err=True)
