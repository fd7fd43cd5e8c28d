"""Train, dev and test by document, with nothing of dev or test left in train."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoo.tasks import Pair, Split

_VARIABLE = re.compile(
    # Possessive where two parts may match the same digits: else a percent sign and many zeros take quadratic time.
    r"(?a:%(?:\d++\$)?[-+#0]*+\d*+(?:\.\d++)?(?:l|ll|h|z)?[a-z]|%\d+|%<?\[?\w+\]?>?%|\$\{?\(?\w+\)?\}?|\{\w*\}|<[/\w][^<>]*>)"
    r"|\d+"
)
"""Numbers, and what programs put in place of a value: %s, %1$d, %1, %NAME%, $name, ${name}, {0}, <name>."""


def split_of(document: str, *, dev: float, test: float, salt: str = "") -> Split:
    """The split of a document: a function of its name alone, so that a new version of a corpus moves no document."""
    digest = hashlib.sha256(f"{salt}\0{document}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return "test" if place < test else "dev" if place < test + dev else "train"


def comparison_key(text: str) -> str:
    """What two texts share that differ in case, width, spacing, numbers or placeholders only."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    # Placeholders go before white space does: in "$name left" the space tells where the name ends.
    return "".join(_VARIABLE.sub("0", folded).split())


def deduplicated(pairs: Iterable[Pair]) -> list[Pair]:
    """The first of every set of pairs whose two sides have the same `comparison_key`."""
    seen: set[tuple[tuple[str, str], ...]] = set()
    kept = []
    for pair in pairs:
        key = tuple(sorted((language, comparison_key(text)) for language, text in pair.texts.items()))
        if key not in seen:
            seen.add(key)
            kept.append(pair)
    return kept


@dataclass(frozen=True)
class Separated:
    """Three splits that share no side, and how many pairs each lost to that."""

    splits: dict[Split, list[Pair]]
    dropped: dict[str, int]


def separated(train: Sequence[Pair], dev: Sequence[Pair], test: Sequence[Pair]) -> Separated:
    """Deduplicate each split; drop from dev what stands in test, and from train what stands in either (any side)."""
    raw: dict[Split, Sequence[Pair]] = {"test": test, "dev": dev, "train": train}
    taken: set[tuple[str, str]] = set()
    splits: dict[Split, list[Pair]] = {}
    dropped = {"duplicates": 0, "train pairs seen in dev or test": 0, "dev pairs seen in test": 0}
    for split, pairs in raw.items():
        unique = deduplicated(pairs)
        dropped["duplicates"] += len(pairs) - len(unique)
        kept = [pair for pair in unique if not taken.intersection(_sides(pair))]
        lost = len(unique) - len(kept)
        if split != "test":
            dropped["train pairs seen in dev or test" if split == "train" else "dev pairs seen in test"] = lost
        splits[split] = kept
        taken.update(side for pair in kept for side in _sides(pair))
    return Separated(splits, dropped)


def _sides(pair: Pair) -> list[tuple[str, str]]:
    return [(language, comparison_key(text)) for language, text in pair.texts.items()]


def by_document(pairs: Iterable[Pair], *, dev: float, test: float, salt: str = "") -> dict[Split, list[Pair]]:
    """Pairs dealt out by `split_of` their document; a pair without one is a document of its own."""
    dealt: dict[Split, list[Pair]] = {"train": [], "dev": [], "test": []}
    for pair in pairs:
        # Without a document, both sides of near-duplicates must still fall into one split.
        document = pair.document or "\0".join(comparison_key(text) for _, text in sorted(pair.texts.items()))
        dealt[split_of(document, dev=dev, test=test, salt=salt)].append(pair)
    return dealt
