"""The Jinja environment of the site. Every text passes `printable` and HTML escaping; no template opts out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from zoo.bench.record import CurvePoint, Record
from zoo.bench.standings import moment
from zoo.site import figures
from zoo.site.columns import interval_text
from zoo.site.device_columns import memory_description
from zoo.site.naming import LONGEST_TEXT, one_line, printable, shortened


def _finalize(value: Any) -> Any:
    if value is None:
        # A page that says "None" is a mistake of the template, never of a record.
        raise TypeError("a template tried to print a missing value")
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(shortened(value, LONGEST_TEXT))
    return value


@cache
def environment() -> Environment:
    """An environment whose templates cannot print a name they were not given."""
    made = Environment(
        loader=PackageLoader("zoo.site"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        one_line=one_line,
        fixed=figures.fixed,
        significant=figures.significant,
        score=figures.score,
        mebibytes=figures.mebibytes,
        count=figures.count,
        duration=figures.duration,
        date=date,
        timestamp=timestamp,
        interval_text=interval_text,
        memory_description=memory_description,
        curve_rows=curve_rows,
        gradient_rows=gradient_rows,
        literal=literal,
    )
    made.globals["none_mark"] = figures.NONE
    return made


def curve_rows(points: Iterable[tuple[Record, CurvePoint]], fields: Sequence[str]) -> Markup:
    """The table rows of a learning curve: seed, step and those fields of each point.

    Half of a site's cells are these. They hold numbers alone, so they are not cleaned and escaped one by one.
    """
    return _number_rows((record, point, [getattr(point, field) for field in fields]) for record, point in points)


def gradient_rows(points: Iterable[tuple[Record, CurvePoint]], names: Sequence[str]) -> Markup:
    """The same of what is told of parts of the gradients, at the points that have any."""
    return _number_rows(
        (record, point, [point.gradients.get(name) for name in names]) for record, point in points if point.gradients
    )


def _number_rows(rows: Iterable[tuple[Record, CurvePoint, Sequence[float | None]]]) -> Markup:

    def cell(value: float | None) -> str:
        return f"<td>{figures.NONE if value is None else figures.significant(value, 4)}</td>"

    return Markup(
        "\n".join(
            f"<tr><td>{record.seed:d}</td><td>{figures.fixed(point.step, 0)}</td>{''.join(map(cell, values))}</tr>"
            for record, point, values in rows
        )
    )


def literal(value: Any) -> str:
    """A value as a spec would write it, in one line."""
    return one_line(value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str))


def date(record: Any) -> str:
    """``2026-11-23 00:25 UTC``, or what the record says where that is no date."""
    when = moment(record)
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else one_line(record.created)


def timestamp(record: Any) -> str:
    """The date for ``<time datetime>``; empty where it cannot be read."""
    when = moment(record)
    return f"{when:%Y-%m-%dT%H:%M:%SZ}" if when else ""
