"""The newest records of the site, for its overview."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.bench.record import Record
from zoo.bench.standings import order
from zoo.site import figures
from zoo.site.history import commit
from zoo.site.model_page import ModelPage
from zoo.site.naming import one_line

LATEST = 10


@dataclass(frozen=True)
class Latest:
    """One record; `page` and `board` name the pages of its model and its task."""

    record: Record
    page: str
    board: str
    score: str
    commit: str


def latest_records(models: Sequence[ModelPage], board_slugs: Mapping[str, str]) -> list[Latest]:
    """The newest records of all models, newest first."""
    found = ((view.record, model.slug) for model in models for view in model.records)
    newest = heapq.nlargest(LATEST, found, key=lambda pair: order(pair[0]))
    return [
        Latest(
            record,
            page,
            board_slugs[record.task],
            _score(record),
            commit(record.environment) or figures.NONE,
        )
        for record, page in newest
    ]


def _score(record: Record) -> str:
    """Its first metric, the one that ranks."""
    if not record.quality:
        return figures.NONE
    first = record.quality[0]
    return f"{one_line(first.metric)} {figures.score(first.value, first.unit)}"
