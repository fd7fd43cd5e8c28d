"""Writes the site: a folder of plain files that opens without a server, replaced whole or not at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

from zoo.atomic import atomic_directory
from zoo.bench.record import Record
from zoo.bench.standings import Standing, order, standings
from zoo.bench.store import Problem, record_text
from zoo.errors import InputError
from zoo.registry import Registry, current_registry
from zoo.site.board import Board, board, model_slug
from zoo.site.compare_data import CompareData
from zoo.site.components import ComponentBook, component_pages, kind_sections
from zoo.site.downloads import csv_text, json_text, parquet_bytes
from zoo.site.latest import latest_records
from zoo.site.model_page import ModelPage, model_page
from zoo.site.pareto import pareto_plots
from zoo.site.probes import probe_ranges
from zoo.site.published_figures import FigurePage, figure_pages
from zoo.site.render import environment

MARKER = "zoo-site.json"
"""Names every file of a built site: what makes it safe to replace the folder."""
SITE_SCHEMA = "zoo.site/1"
_ASSETS = (
    "board.js",
    "charts.css",
    "compare-examples.js",
    "compare-parts.js",
    "compare.css",
    "compare.js",
    "diff.js",
    "icon.svg",
    "site.css",
    "site.js",
)


@dataclass(frozen=True)
class SiteReport:
    """What was built."""

    directory: Path
    boards: tuple[str, ...]
    models: int
    records: int
    problems: tuple[Problem, ...]

    @property
    def index(self) -> Path:
        return self.directory / "index.html"


def build_site(
    records: Iterable[Record],
    out: Path,
    problems: Iterable[Problem] = (),
    *,
    store: Path | None = None,
    figures: Path | None = None,
    registry: Registry | None = None,
) -> SiteReport:
    """Write the site of `records` to the folder `out`; the same records and plugins give the same bytes.

    `store` is the folder of the records, where their per-example outputs are; `figures` one of published figures, which
    may be absent. `registry` describes components (default:
    the registry in force). A failed build leaves the old site.
    Raises InputError where `out` holds anything that a built site does not.
    """
    found = sorted(records, key=order)
    drawn, not_figures = figure_pages(figures)
    unreadable = [*problems, *not_figures]
    target = out.resolve()
    refuse_foreign(target)
    placed = standings(found)
    boards = [board(task, [one for one in placed if one.task == task]) for task in sorted({one.task for one in placed})]
    book = ComponentBook(registry or current_registry())
    models = _model_pages(placed, found, book)
    with atomic_directory(target) as folder:
        written = []
        for name, content in _pages(boards, models, book, found, unreadable, store, drawn):
            file = folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            written.append(name)
        marker = {"schema": SITE_SCHEMA, "files": sorted(written)}
        (folder / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
    return SiteReport(out, tuple(item.task for item in boards), len(models), len(found), _sorted(unreadable))


def is_site(folder: Path) -> bool:
    """Whether `folder` is a site that `build_site` made."""
    return _listed(folder) is not None


def refuse_foreign(folder: Path) -> None:
    """Raise InputError unless `folder` is absent, empty, or holds nothing but a site that we made."""
    if not folder.exists():
        return
    where = str(folder)
    if not folder.is_dir():
        raise InputError("expected a folder for the site, found a file", where=where)
    listed = _listed(folder)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if listed is None or (not path.is_dir() and name != MARKER and name not in listed):
            raise InputError(
                f"holds '{name}', which no built site has, and building would delete it: "
                "expected an empty or absent folder, or a site built before",
                where=where,
            )


def _listed(folder: Path) -> frozenset[str] | None:
    try:
        content = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if content["schema"] != SITE_SCHEMA:
            return None
        return frozenset(str(name) for name in content["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _model_pages(placed: list[Standing], records: list[Record], book: ComponentBook) -> list[ModelPage]:
    groups: dict[tuple[str, str, str], list[Standing]] = {}
    for standing in placed:
        groups.setdefault((standing.task, standing.role, standing.name), []).append(standing)
    members: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        members.setdefault((record.task, record.role, record.name), []).append(record)
    ranges = probe_ranges(placed)
    return [model_page(group, members[key], book, ranges) for key, group in groups.items()]


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda item: (item.path.name, item.message)))


def _published(records: Iterable[Record], store: Path | None) -> bytes:
    """A JSON array of the records as their files have them; as we would write them where there is no such file."""
    return b"[\n" + b",\n".join(_file(record, store).rstrip() for record in records) + b"\n]\n"


def _file(record: Record, store: Path | None) -> bytes:
    try:
        if store is not None:
            return (store / f"{record.id}.json").read_bytes()
    except FileNotFoundError:
        pass
    return record_text(record).encode()


def _pages(
    boards: list[Board],
    models: list[ModelPage],
    book: ComponentBook,
    records: list[Record],
    problems: list[Problem],
    store: Path | None,
    drawn: list[FigurePage],
) -> Iterator[tuple[str, str | bytes]]:
    """Every file of the site but its marker: relative name and content. Outputs that cannot be read join `problems`."""
    templates = environment()

    def page(name: str, template: str, **values: object) -> tuple[str, str]:
        root = "../" * (len(PurePosixPath(name).parts) - 1)
        return name, templates.get_template(template).render(root=root, **values)

    for item in boards:
        paretos = [pareto_plots(table) for table in item.tables]
        yield page(f"boards/{item.slug}.html", "board.html", board=item, paretos=paretos, model_slug=model_slug)
        for table in item.tables:
            yield f"boards/{table.download}.csv", csv_text(table)
            yield f"boards/{table.download}.json", json_text(item.task, table)
            yield f"boards/{table.download}.parquet", parquet_bytes(item.task, table)
    board_slugs = {item.task: item.slug for item in boards}
    for model in models:
        yield page(f"models/{model.slug}.html", "model.html", model=model, board_slug=board_slugs[model.standing.task])
        yield f"records/{model.slug}.json", _published([view.record for view in model.records], store)
    strangers = [entry for entry in book.entries if entry.installed is None]
    yield page("components.html", "components.html", sections=kind_sections(book), strangers=strangers)
    for part in component_pages(book, boards):
        yield page(f"components/{part.entry.page}.html", "component.html", page=part)
    for figure in drawn:
        yield page(f"figures/{figure.slug}.html", "figure.html", page=figure)
    yield page("exports.html", "exports.html")
    yield page("compare.html", "compare.html", boards=boards)
    yield from CompareData(boards, models, store, problems).files()
    yield page(
        "index.html",
        "index.html",
        boards=boards,
        records=len(records),
        statuses=sorted(
            Counter(record.status for record in records).items(), key=lambda item: (item[0] != "ok", item[0])
        ),
        newest=max(records, key=order, default=None),
        failures=[(standing, model_slug(standing)) for item in boards for standing in item.failures],
        latest=latest_records(models, board_slugs),
        components=len(book.entries),
        figures=drawn,
        problems=_sorted(problems),
    )
    for name in _ASSETS:
        yield f"assets/{name}", files("zoo.site").joinpath("assets", name).read_text(encoding="utf-8")
