"""The components that the specs of records name: which of them are installed, and which models use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from zoo.bench.record import Record
from zoo.bench.standings import Standing
from zoo.registry import RegisteredComponent, Registry
from zoo.site import figures
from zoo.site.board import Board, model_slug
from zoo.site.naming import LONGEST_LINE, one_line, slug
from zoo.site.references import Reference, reference
from zoo.spec.describe import OptionRow, option_rows

LISTED = 100
"""Models of one board on a component's page: the first ones; the board has all."""
_MOST = 500
"""Components of one spec; resolved specs have some twenty."""
_DEEPEST = 60
"""Levels of a spec that are searched; resolved specs have fewer than ten."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A component: of an installed plugin, or one that only records name."""

    kind: str
    """Empty where the component is not installed: a spec names slots, not kinds."""
    id: str
    installed: RegisteredComponent | None
    places: dict[str, None] = field(default_factory=dict)
    """Where specs name it, in order of appearance."""
    versions: dict[str, None] = field(default_factory=dict)
    """Versions of its distribution in records."""
    users: dict[Standing, list[str]] = field(default_factory=dict)
    """Models with the places in their specs."""

    @cached_property
    def page(self) -> str:
        return slug("component", self.kind, self.id)

    @property
    def name(self) -> str:
        return one_line(self.id.rpartition("/")[2])

    @property
    def distribution(self) -> str:
        return self.id.rpartition("/")[0]

    @property
    def summary(self) -> str | None:
        return None if self.installed is None else self.installed.summary

    @property
    def references(self) -> tuple[Reference, ...]:
        return () if self.installed is None else tuple(reference(item) for item in self.installed.component.references)


@dataclass(frozen=True)
class ComponentUse:
    """One ``use:`` in a spec."""

    place: str
    entry: Entry


class ComponentBook:
    """Every installed component, and every other that `uses` came across."""

    def __init__(self, registry: Registry) -> None:
        self.kinds = registry.kinds
        self._entries: dict[tuple[str, str], Entry] = {}
        self._by_id: dict[str, list[Entry]] = {}
        for item in registry.components():
            self._add(Entry(item.kind, item.id, item))

    def _add(self, entry: Entry) -> Entry:
        self._entries[entry.kind, entry.id] = entry
        self._by_id.setdefault(entry.id, []).append(entry)
        return entry

    @property
    def entries(self) -> list[Entry]:
        """By kind, those that are not installed last."""
        return sorted(self._entries.values(), key=lambda item: (item.installed is None, item.kind, item.name, item.id))

    def uses(self, standing: Standing, record: Record) -> tuple[ComponentUse, ...]:
        """Every component in the spec of `record`, noted as used by `standing`."""
        found = []
        for place, identity in _named(record.spec):
            entry = self._resolve(place, identity)
            entry.places.setdefault(place)
            version = record.distributions.get(entry.distribution)
            if version is not None:
                entry.versions.setdefault(one_line(version))
            entry.users.setdefault(standing, []).append(place)
            found.append(ComponentUse(place, entry))
        return tuple(found)

    def _resolve(self, place: str, identity: str) -> Entry:
        candidates = [entry for entry in self._by_id.get(identity, []) if entry.installed is not None]
        if len(candidates) > 1:
            # One distribution may use one name in several kinds ("none"); the slot's key then tells which.
            key = next((part for part in reversed(place.split(".")) if not part.isdigit()), "")
            candidates = [entry for entry in candidates if entry.kind == key]
        if candidates:
            return candidates[0]
        return self._entries.get(("", identity)) or self._add(Entry("", identity, None))


def _named(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Place and id of every ``use:`` in the spec, in its order."""

    def walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if len(path) > _DEEPEST:
            return
        if isinstance(value, Mapping):
            if path and isinstance(value.get("use"), str):
                yield ".".join(path), value["use"]
            for name, item in value.items():
                yield from walk(item, (*path, str(name)[:LONGEST_LINE]))
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                yield from walk(item, (*path, str(index)))

    yield from islice(walk(spec, ()), _MOST)


@dataclass(frozen=True)
class User:
    """A model that uses the component."""

    name: str
    page: str
    status: str
    role: str
    score: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class BoardUsers:
    """The models of one board that use the component, in the board's order."""

    task: str
    slug: str
    metric: str
    users: tuple[User, ...]
    models: int


@dataclass(frozen=True)
class ComponentPage:
    """What a component's page shows."""

    entry: Entry
    kind_summary: str
    options: tuple[OptionRow, ...]
    options_problem: str
    traits: tuple[tuple[str, str], ...]
    boards: tuple[BoardUsers, ...]


@dataclass(frozen=True)
class KindSection:
    """The components of one kind."""

    kind: str
    summary: str
    entries: tuple[Entry, ...]


def kind_sections(book: ComponentBook) -> tuple[KindSection, ...]:
    """The installed components by kind."""
    sections: dict[str, list[Entry]] = {}
    for entry in book.entries:
        if entry.installed is not None:
            sections.setdefault(entry.kind, []).append(entry)
    return tuple(KindSection(kind, book.kinds[kind].summary, tuple(found)) for kind, found in sections.items())


def component_pages(book: ComponentBook, boards: Sequence[Board]) -> Iterator[ComponentPage]:
    """A page for every entry of `book`."""
    order = {row.standing: place for board in boards for table in board.tables for place, row in enumerate(table.rows)}
    for entry in book.entries:
        options, problem = _options(entry)
        installed = entry.installed
        yield ComponentPage(
            entry=entry,
            kind_summary=book.kinds[entry.kind].summary if entry.kind else "",
            options=options,
            options_problem=problem,
            traits=tuple((str(key), _plain(value)) for key, value in installed.traits.items()) if installed else (),
            boards=tuple(_board_users(entry, boards, order)),
        )


def _options(entry: Entry) -> tuple[tuple[OptionRow, ...], str]:
    """The options, or why a plugin's options cannot be read: a stranger's module may fail in any way."""
    if entry.installed is None:
        return (), ""
    try:
        return tuple(option_rows(entry.installed.load_options())), ""
    except Exception as error:
        return (), one_line(f"{type(error).__name__}: {error}")


def _board_users(entry: Entry, boards: Sequence[Board], order: Mapping[Standing, int]) -> Iterator[BoardUsers]:
    by_task: dict[str, list[Standing]] = {}
    for standing in entry.users:
        by_task.setdefault(standing.task, []).append(standing)
    for board in boards:
        found = sorted(by_task.get(board.task, ()), key=lambda item: order.get(item, 0))
        if not found:
            continue
        ranking = next((table.ranking for table in board.tables if table.ranking is not None), None)
        users = []
        for standing in found[:LISTED]:
            summary = None if ranking is None else standing.quality().get(ranking)
            score = figures.NONE if summary is None or ranking is None else figures.score(summary.mean, ranking.unit)
            places = tuple(dict.fromkeys(entry.users[standing]))
            users.append(User(standing.name, model_slug(standing), standing.status, standing.role, score, places[:10]))
        metric = "" if ranking is None else one_line(ranking.metric)
        yield BoardUsers(board.task, board.slug, metric, tuple(users), len(found))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return str(value)
