"""What a board can be filtered by: settings of the specs in which its models differ, their status and their role."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.bench.standings import Standing
from zoo.site.naming import one_line, unique_keys

MOST = 16
"""Filters made of settings. Components come first: what sets models apart is mostly which parts they have."""
_MOST_VALUES = 40
_DEEPEST, _MOST_LEAVES, _LONGEST = 12, 400, 80
"""Bounds on what a stranger's spec can make of us; resolved specs are far inside."""
_NOT_SETTINGS = ("name", "description", "seed")


@dataclass(frozen=True)
class Facet:
    """One choice; `values` with the number of models that have each, in the order they are offered."""

    key: str
    label: str
    values: tuple[tuple[str, int], ...]
    places: tuple[int | None, ...]
    """Of each model the place of its value in `values`; None where its spec does not say."""


def facets(found: Sequence[Standing]) -> tuple[Facet, ...]:
    """The facets of `found`, in the order of its rows; those that part nothing are left out."""
    columns: dict[str, list[str | None]] = {
        "Status": [item.status for item in found],
        "Role": [item.role for item in found],
    }
    settings = [dict(_settings(item.shown[0].spec)) for item in found]
    paths: dict[tuple[bool, str], None] = {}
    for own in settings:
        paths.update(dict.fromkeys((not path.endswith(".use"), path) for path in own))
    for _, path in sorted(paths, key=lambda item: item[0]):
        if len(columns) == MOST + 2:
            break
        values = [own.get(path) for own in settings]
        if 2 <= len({value for value in values if value is not None}) <= _MOST_VALUES:
            columns[path.removesuffix(".use")] = values
    parted = {label: values for label, values in columns.items() if len({v for v in values if v is not None}) > 1}
    return tuple(_facet(key, *item) for key, item in zip(unique_keys(parted), parted.items(), strict=True))


def _facet(key: str, label: str, values: Sequence[str | None]) -> Facet:
    counts = Counter(value for value in values if value is not None)
    order = sorted(counts, key=natural)
    place = {value: index for index, value in enumerate(order)}
    return Facet(
        key,
        label,
        tuple((value, counts[value]) for value in order),
        tuple(None if value is None else place[value] for value in values),
    )


def natural(value: str) -> tuple[int, float, str]:
    """Numbers by their size before words."""
    try:
        number = float(value)
    except ValueError:
        return 1, 0.0, value
    return (0, number, value) if number == number else (1, 0.0, value)


def _settings(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The spec's leaves as ``path, value``: short ones only, and no more than a spec of ours could have."""
    left = _MOST_LEAVES

    def walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        nonlocal left
        if left <= 0 or len(path) > _DEEPEST:
            return
        if isinstance(value, Mapping):
            for name, item in value.items():
                if path or name not in _NOT_SETTINGS:
                    yield from walk(item, (*path, str(name)))
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                yield from walk(item, (*path, str(index)))
        elif isinstance(value, (str, int, float, bool)):
            left -= 1
            text = _text(value)
            label = ".".join(path)
            if len(text) <= _LONGEST and len(label) <= _LONGEST:
                yield one_line(label), one_line(text)

    yield from walk(spec, ())


def _text(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "a very large number"
    return value if isinstance(value, str) else repr(value)
