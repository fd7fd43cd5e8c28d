"""Figures that somebody's command wrote and that are published beside the records: ``leaderboard/figures/*.json``.

A file is one page of line charts (schema ``zoo.figure/1``), with the command and the versions it came from. Who drew it
is nothing to the site: a plugin's command writes a file, and the page is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.atomic import TEMPORARY_PREFIX
from zoo.bench.store import Problem
from zoo.site.naming import slug
from zoo.site.probe_charts import ProbeFigure, lines_figure

FIGURE_SCHEMA = "zoo.figure/1"
_LARGEST = 2**20
"""Bytes of a file: a page of lines is a few kilobytes."""

Line = Annotated[str, Field(min_length=1, max_length=160)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class FigureSeries(_Part):
    """One line."""

    name: Line = Field(description="What the key says")
    points: list[tuple[float, float]] = Field(min_length=1, max_length=2000, description="x and y, by x")


class FigureChart(_Part):
    """One chart of some lines over the same axes."""

    title: Line = Field(description="Heading")
    x: Line = Field(description="What x is, and its unit")
    y: Line = Field(description="What y is, and its unit")
    series: list[FigureSeries] = Field(min_length=1, max_length=16, description="The lines")


class PublishedFigure(_Part):
    """The content of a file."""

    schema_: Literal["zoo.figure/1"] = Field(alias="schema", description="The schema's name")
    title: Line = Field(description="Heading of the page")
    text: str = Field(max_length=4000, description="What is shown, for a reader who was not there")
    command: str = Field(max_length=2000, description="The command that gives it again")
    source: str | None = Field(default=None, max_length=400, description="Where what is tried comes from: an address")
    versions: dict[Line, Line] = Field(default_factory=dict, description="Versions of what computed it")
    charts: list[FigureChart] = Field(min_length=1, max_length=12, description="The charts, in their order")


@dataclass(frozen=True)
class FigurePage:
    """A page: the file's content, and its charts as drawn."""

    slug: str
    figure: PublishedFigure
    drawn: tuple[ProbeFigure, ...]

    @property
    def address(self) -> str | None:
        """The source, where it is an address that a page may lead to."""
        source = self.figure.source or ""
        return source if source.startswith("https://") and source.isprintable() and " " not in source else None


def figure_pages(folder: Path | None) -> tuple[list[FigurePage], list[Problem]]:
    """The figures of a folder by the names of their files, and the files that are none. No folder has no figures."""
    pages: list[FigurePage] = []
    problems: list[Problem] = []
    if folder is None or not folder.is_dir():
        return pages, problems
    for file in sorted(folder.glob("*.json")):
        if file.name.startswith(TEMPORARY_PREFIX):
            continue
        try:
            if file.stat().st_size > _LARGEST:
                raise ValueError(f"larger than {_LARGEST:,} bytes")
            figure = PublishedFigure.model_validate_json(file.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the file"
            problems.append(Problem(file, f"not a {FIGURE_SCHEMA}: {place}: {first['msg']}"))
        except (OSError, ValueError) as error:
            problems.append(Problem(file, f"not a {FIGURE_SCHEMA}: {error}"))
        else:
            pages.append(FigurePage(slug("figure", file.stem), figure, _drawn(figure.charts)))
    return pages, problems


def _drawn(charts: Sequence[FigureChart]) -> tuple[ProbeFigure, ...]:
    return tuple(
        lines_figure(chart.title, chart.x, chart.y, [(line.name, line.points) for line in chart.series])
        for chart in charts
    )
