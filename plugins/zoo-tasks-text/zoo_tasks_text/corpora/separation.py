"""Splits that share nothing, from data larger than memory: two walks over it, digests in between.

Peak memory is about 90 bytes a pair, whatever the length of its texts. Sides are compared by 64 bits of BLAKE2b: among
a hundred million sides, the odds that two different ones are ever taken for one are 3 in 10,000, and then one pair is
left out too many.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.tasks import Pair, Split
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_text.corpora.splits import comparison_key, split_of

Source = Callable[[], Iterator[Pair]]
"""Gives the same pairs each time it is called."""
Digests = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]
_DROPPED = -1
_AT_ONCE = 2**20
_REPORT = 10_000


@dataclass(frozen=True)
class Separation:
    """Where each pair of the sources goes."""

    sources: Mapping[Split, Source]
    places: npt.NDArray[np.int8]
    """Index in `SPLITS`, or -1 for a pair that is left out; the pairs of all sources in one row, train first."""
    ambiguous: frozenset[int]
    """Pairs whose document and order another pair of their split has, too."""
    dropped: dict[str, int]
    kept: dict[str, int]
    """Of splits that stay whole: what another split would have lost, by reason; reasons without a pair are absent."""

    @property
    def sizes(self) -> dict[Split, int]:
        return {split: int(np.count_nonzero(self.places == code)) for code, split in enumerate(SPLITS)}

    def refuse_empty(self, corpus: str, where: str, remedy: str) -> None:
        """Raise InputError naming the first split that is left without a pair, and what to do."""
        for split, size in self.sizes.items():
            if not size:
                raise InputError(
                    f"corpus {corpus}: {len(self.places)} pairs {where} leave the {split} split empty: {remedy}"
                )

    def stream(self, progress: Progress = silent) -> Iterator[tuple[Split, Pair]]:
        """Walk through the sources once more. Raises InputError where they give other pairs than before."""
        total, index = len(self.places), 0
        for split in _given(self.sources):
            for number, pair in enumerate(self.sources[split](), start=1):
                if index == total:
                    break
                if index in self.ambiguous:
                    raise InputError(
                        f"pair {number} of the {split} data is not the first with document '{pair.document}' and order "
                        f"{pair.order}: expected each order once a document"
                    )
                if self.places[index] != _DROPPED:
                    yield SPLITS[self.places[index]], pair
                index += 1
                if index % _REPORT == 0:
                    progress("writing pairs", index, total)
            else:
                continue
            break
        else:
            if index == total:
                return
        raise InputError("the data was changed while it was read: let nothing write to it, and try again")


def separate(
    sources: Mapping[Split, Source],
    languages: Sequence[str],
    *,
    dev: float,
    test: float,
    salt: str,
    whole: frozenset[Split] = frozenset(),
    repeating: frozenset[Split] = frozenset(),
    progress: Progress = silent,
) -> Separation:
    """Deal the pairs of `sources` out to splits that share no side and no document.

    Shares `dev` and `test` of the train source go to the splits that have no source, as `by_document` deals them; then
    each split is deduplicated, and loses what stands in test, or in dev, as in `separated`, and what is of their
    documents. Sentences that documents repeat are no duplicates: of pairs with a document, only those of a copy go, a
    document of which every pair stands further ahead. Splits in `repeating` are not deduplicated. Splits in `whole`
    stay as they are, duplicates included: the others lose what stands in them, and two of them may share pairs, which
    `Separation.kept` counts.
    """
    shares = {"dev": 0.0 if "dev" in sources else dev, "test": 0.0 if "test" in sources else test}
    found = _Digested(sources, languages, shares["dev"], shares["test"], salt, progress)
    places = found.places.copy()
    taken = {language: np.zeros(0, np.uint64) for language in languages}
    documents = np.zeros(0, np.uint64)
    dropped = {
        "duplicates": 0,
        "train pairs seen in dev or test": 0,
        "dev pairs seen in test": 0,
        "pairs of documents in dev or test": 0,
    }
    kept: dict[str, int] = {}
    order: list[Split] = ["test", "dev", "train"]
    for split in sorted(order, key=lambda split: split not in whole):
        rows = np.flatnonzero(found.places == SPLITS.index(split))
        unique = _first_of_each([found.sides[language][rows] for language in languages])
        if split in repeating:
            unique[:] = True
        elif split not in whole:
            fresh = _with(np.zeros(0, np.uint64), found.documents[rows[unique]])
            unique |= (found.documents[rows] != 0) & _among(found.documents, rows, fresh)
        seen = np.zeros(len(rows), np.bool_)
        for language in languages:
            seen |= _among(found.sides[language], rows, taken[language])
        repeated, shared = int(np.count_nonzero(~unique)), int(np.count_nonzero(unique & seen))
        if split in whole:
            counts = {f"duplicates in {split}": repeated, f"{split} pairs seen in test": shared}
            kept.update({reason: count for reason, count in counts.items() if count})
        else:
            strange = _among(found.documents, rows, documents)
            dropped["duplicates"] += repeated
            if split != "test" or shared:
                other = {"train": "dev or test", "dev": "test", "test": "dev"}[split]
                dropped[f"{split} pairs seen in {other}"] = shared
            dropped["pairs of documents in dev or test"] += int(np.count_nonzero(unique & ~seen & strange))
            stays = unique & ~seen & ~strange
            places[rows[~stays]] = _DROPPED
            rows = rows[stays]
        if split != "train":
            taken = {language: _with(taken[language], found.sides[language][rows]) for language in languages}
            own = found.documents[rows]
            documents = _with(documents, own[own != 0])
    return Separation(sources, places, _ambiguous(found, places), dropped, kept)


class _Digested:
    """What is kept of every pair while its texts are forgotten."""

    def __init__(
        self,
        sources: Mapping[Split, Source],
        languages: Sequence[str],
        dev: float,
        test: float,
        salt: str,
        progress: Progress,
    ) -> None:
        sides = {language: array("Q") for language in languages}
        documents, orders, places = array("Q"), array("q"), array("b")
        for origin in _given(sources):
            for pair in sources[origin]():
                keys = {language: comparison_key(pair.texts[language]) for language in languages}
                for language, key in keys.items():
                    sides[language].frombytes(_digest(key))
                documents.frombytes(_digest(pair.document) if pair.document else bytes(8))
                orders.append(pair.order)
                split = origin
                if origin == "train":
                    # As in `by_document`: without a document, both sides of near-duplicates fall into one split.
                    name = pair.document or "\0".join(keys[language] for language in sorted(keys))
                    split = split_of(name, dev=dev, test=test, salt=salt)
                places.append(SPLITS.index(split))
                if len(places) % _REPORT == 0:
                    progress("reading pairs", len(places), 0)
        self.sides = {language: np.frombuffer(found, np.uint64) for language, found in sides.items()}
        self.documents: Digests = np.frombuffer(documents, np.uint64)
        self.orders: Places = np.frombuffer(orders, np.int64)
        self.places: npt.NDArray[np.int8] = np.frombuffer(places, np.int8)


def _given(sources: Mapping[Split, Source]) -> list[Split]:
    return [split for split in SPLITS if split in sources]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _first_of_each(columns: Sequence[npt.NDArray[Any]]) -> Mask:
    """``[N]``: whether no earlier row has the same values."""
    order = np.lexsort(columns)  # stable, so the first of equal rows comes first
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for column in columns:
        ranked = column[order]
        same &= ranked[1:] == ranked[:-1]
    first = np.ones(len(order), np.bool_)
    first[order[1:][same]] = False
    return first


def _among(column: Digests, rows: Places, known: Digests) -> Mask:
    """Whether the values in `rows` of a column are in `known`, which is sorted."""
    result = np.zeros(len(rows), np.bool_)
    if len(known):
        for start in range(0, len(rows), _AT_ONCE):
            values = column[rows[start : start + _AT_ONCE]]
            nearest = np.minimum(np.searchsorted(known, values), len(known) - 1)
            result[start : start + _AT_ONCE] = known[nearest] == values
    return result


def _with(known: Digests, more: Digests) -> Digests:
    """Both, sorted, each value once."""
    return np.unique(np.concatenate([known, more]))


def _ambiguous(found: _Digested, places: npt.NDArray[np.int8]) -> frozenset[int]:
    rows = np.flatnonzero((found.documents != 0) & (places != _DROPPED))
    if not len(rows):
        return frozenset()
    columns = [found.documents[rows], found.orders[rows], places[rows].astype(np.int64)]
    return frozenset(rows[~_first_of_each(columns)].tolist())
