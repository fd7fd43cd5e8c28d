"""A corpus with documents and domains, given as pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from zoo.tasks import Check, Pair, PreparedCorpus, Split


class GivenCorpus(PreparedCorpus):
    name = "given"
    languages = ("zh", "en")
    licence = "CC0-1.0"
    facts: Mapping[str, Any] = {}

    def __init__(self, splits: Mapping[Split, Sequence[Pair]]) -> None:
        self._splits = splits
        self.revision = "sha256:" + "0" * 64

    def pairs(self, split: Split) -> Sequence[Pair]:
        return self._splits.get(split, [])


def pair(document: str | None, order: int, domain: str | None = None) -> Pair:
    name = f"{document}.{order}"
    return Pair(
        {"zh": f"源 {name}", "en": f"target {name}"},
        document,
        order,
        domain,
        checks={"en": (Check("pronoun", "he", ("she",)),)} if order == 1 else {},
        contrasts={"en": (f"wrong {name}",)} if order == 1 else {},
    )


@pytest.fixture
def documents() -> GivenCorpus:
    """Documents a (4 pairs), b (2 pairs, out of order and in two places), and two pairs of none."""
    pairs = [
        *(pair("a", order, "formal") for order in range(4)),
        pair("b", 1, "plain"),
        pair(None, 0),
        pair("b", 0, "plain"),
        pair(None, 1, "plain"),
    ]
    return GivenCorpus({"train": pairs, "dev": pairs, "test": pairs})


@pytest.fixture
def many() -> Callable[[int], GivenCorpus]:
    """`count` documents of five pairs each, in two domains."""

    def made(count: int) -> GivenCorpus:
        pairs = [
            pair(f"d{number}", order, "formal" if number % 2 else "plain")
            for number in range(count)
            for order in range(5)
        ]
        return GivenCorpus({"train": pairs, "dev": pairs, "test": pairs})

    return made


@pytest.fixture
def gapped() -> GivenCorpus:
    """One document whose third sentence is missing."""
    pairs = [pair("a", order) for order in (0, 1, 3, 4)]
    return GivenCorpus({"train": pairs, "dev": pairs, "test": pairs})


@pytest.fixture
def lines() -> Callable[[Sequence[str]], GivenCorpus]:
    """One document of the given source texts."""

    def made(texts: Sequence[str]) -> GivenCorpus:
        pairs = [Pair({"zh": text, "en": f"target {order}"}, "a", order) for order, text in enumerate(texts)]
        return GivenCorpus({"train": pairs, "dev": pairs, "test": pairs})

    return made
