"""How well the sides of a corpus's pairs belong together, estimated without a person."""

from __future__ import annotations

import importlib.util
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WIDE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_UNIT = re.compile(rf"[{_WIDE}]|(?:(?![{_WIDE}])\w)+")
_NUMBER = re.compile(r"\d+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")

STEM = 6
"""Letters of a word that count: a cheap stemmer, for a sample is too small to meet every form of a word."""
TRAINED, SCORED = 3000, 1500
"""Pairs that the model learns from, and other ones that it scores."""
LEAST_UNITS = 4
"""Words or characters that a side must have to be scored: fewer say too little."""
_LONGEST = 60
"""Units of the longest side that is learned from: IBM-1 takes time by the product of both lengths."""
_ITERATIONS = 4
_BAND = 20
"""Pairs of like length that exchange their sides to make mismatched ones."""
_BACKGROUND = 0.1
"""Weight of the plain frequency of a unit beside what the other side says of it."""


def wide(text: str) -> bool:
    """Whether most letters of `text` are of a script without spaces between words (ideographs, kana)."""
    units = _UNIT.findall(text)
    return 2 * sum(re.match(rf"[{_WIDE}]", unit) is not None for unit in units) > len(units)


def units(text: str) -> list[str]:
    """What IBM-1 aligns: ideographs and kana one by one, other words by their first letters; NFKC, case folded."""
    return [unit[:STEM] for unit in _UNIT.findall(unicodedata.normalize("NFKC", text).casefold())]


def numbers(text: str) -> Counter[str]:
    """The numbers of a text with their counts: 1,000 is 1000, wide digits are digits, leading zeros do not count."""
    folded = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text))
    return Counter(str(int(found)) if len(found) < 20 else found for found in _NUMBER.findall(folded))


def number_agreement(first: str, second: str) -> bool | None:
    """Whether both sides have the same numbers; None where one has none (it may be written as a word)."""
    left, right = numbers(first), numbers(second)
    return left == right if left and right else None


def length_outliers(first: Sequence[int], second: Sequence[int]) -> dict[str, float]:
    """Of pairs with sides of these many characters: the median ratio, and the share that lies far from it.

    Far is more than 3 robust standard deviations (1.4826 times the median absolute deviation) of the log ratio. Where
    more than half of the pairs have the same ratio, that deviation is 0 and every other ratio is far.
    """
    import numpy as np

    ratios = np.log(np.maximum(np.asarray(first, float), 1) / np.maximum(np.asarray(second, float), 1))  # [N]
    median = float(np.median(ratios))
    distance = np.abs(ratios - median)
    deviation = 1.4826 * float(np.median(distance))
    far = float(np.mean(distance > 3 * deviation + 1e-9))
    return {"median_ratio": math.exp(median), "deviation": deviation, "share": far}


@dataclass(frozen=True)
class Candidate:
    """A pair as it may be drawn for the estimate: both sides, and what pairs of like content have in common."""

    first: str
    second: str
    group: str = ""


@dataclass(frozen=True)
class Separation:
    """How IBM-1 tells pairs of a corpus from mismatched ones."""

    trained: int
    scored: int
    auc: float
    """Probability that a pair scores above a mismatched one: 0.5 says nothing, 1 that hardly a pair is wrong."""
    misaligned: float
    """Estimate from above of the share of misaligned pairs; see `separation`."""
    lowest: tuple[int, ...]
    """Places of the candidates that fit worst, the worst first."""

    def to_json(self) -> dict[str, Any]:
        """Numbers only: `lowest` means nothing without the candidates."""
        return {
            "trained": self.trained,
            "scored": self.scored,
            "auc": self.auc,
            "misaligned_at_most": self.misaligned,
        }


def available() -> bool:
    """Whether nltk, which has IBM-1, is installed."""
    return importlib.util.find_spec("nltk") is not None


def separation(candidates: Sequence[Candidate], *, lowest: int = 5) -> Separation | None:
    """Train IBM Model 1 (Brown et al. 1993, section 4.1) on some candidates, score others; None where too few are.

    A pair's score is the mean, over the units of its first side and then of its second, of log p(unit | other side) /
    p(unit): how much better the other side explains them than their frequency does, so that pairs of rare words do not
    look worse than pairs of common ones. Mismatched pairs are made by exchanging the second sides of scored pairs of
    the same group and of like length, so that neither topic nor length gives them away.

    Where a share s of the corpus is misaligned, its misaligned pairs score as mismatched ones do: half of them lie
    below the median of these. Some good pairs lie there too, so s is at most twice the share of all pairs below it,
    up to sampling error. Loose translations, and sides of which one says more, count as aligned.

    The order of candidates decides which are drawn: the caller shuffles.
    """
    import numpy as np

    sides = [(units(item.first), units(item.second)) for item in candidates]
    long = [index for index, pair in enumerate(sides) if min(map(len, pair)) >= LEAST_UNITS]
    # Small corpora have half for each use.
    scored = long[: min(SCORED, len(long) // 2)]
    apart = set(scored)
    trained = [
        index
        for index, pair in enumerate(sides)
        if index not in apart and all(pair) and max(map(len, pair)) <= _LONGEST
    ][:TRAINED]
    if len(scored) < _BAND or not trained:
        return None
    models = [_Lexicon([(sides[index][1 - side], sides[index][side]) for index in trained]) for side in (0, 1)]

    def score(first: list[str], second: list[str]) -> float:
        return models[0].score(second, first) + models[1].score(first, second)

    real = np.array([score(*sides[index]) for index in scored])  # [N]
    mismatched = np.array([score(sides[a][0], sides[b][1]) for a, b in _mismatched(scored, sides, candidates)])  # [N]
    worst = np.argsort(real, kind="stable")[:lowest]
    return Separation(
        trained=len(trained),
        scored=len(scored),
        auc=_auc(real, mismatched),
        misaligned=min(1.0, 2 * float(np.mean(real < np.median(mismatched)))),
        lowest=tuple(scored[place] for place in worst),
    )


def _mismatched(
    scored: Sequence[int], sides: Sequence[tuple[list[str], list[str]]], candidates: Sequence[Candidate]
) -> list[tuple[int, int]]:
    """Places whose first side and whose second side make a mismatched pair: half a band apart by group and length."""

    def key(index: int) -> tuple[str, int, int]:
        return candidates[index].group, len(sides[index][1]), len(sides[index][0])

    ordered = sorted(scored, key=key)
    found = []
    for start in range(0, len(ordered), _BAND):
        band = ordered[start : start + _BAND]
        if len(band) < _BAND:
            band = ordered[-_BAND:]
        found += [(index, band[(place + _BAND // 2) % _BAND]) for place, index in enumerate(band)]
    return found


def _auc(real: NDArray[np.float64], mismatched: NDArray[np.float64]) -> float:
    """Share of all (real, mismatched) in which the real one scores higher; a tie counts half."""
    import numpy as np

    ordered = np.sort(mismatched)
    below, not_above = (np.searchsorted(ordered, real, side=side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(ordered)))


class _Lexicon:
    """p(unit | unit of the other side), as nltk's IBM Model 1 learns it."""

    def __init__(self, pairs: Sequence[tuple[list[str], list[str]]]) -> None:
        """`pairs` are (given, explained)."""
        import warnings

        from nltk.translate import AlignedSent, IBMModel1

        with warnings.catch_warnings():
            # It says that probabilities of large vocabularies are rounded up: to 1e-12.
            warnings.simplefilter("ignore")
            self._table = IBMModel1([AlignedSent(explained, given) for given, explained in pairs], _ITERATIONS)
        counts = Counter(unit for _, explained in pairs for unit in explained)
        self._frequency = {unit: count / counts.total() for unit, count in counts.items()}

    def score(self, given: Sequence[str], explained: Sequence[str]) -> float:
        """Mean log-likelihood ratio of the units that are known; 0, which says nothing, where none is."""
        sources = [None, *given]
        total, known = 0.0, 0
        for unit in explained:
            frequency = self._frequency.get(unit)
            if frequency is None:
                continue
            # Not by [], which answers for pairs of units that never met with a probability of 1 / vocabulary.
            row = self._table.translation_table[unit]
            learned = sum(row.get(source, 0.0) for source in sources) / len(sources)
            total += math.log((1 - _BACKGROUND) * learned / frequency + _BACKGROUND)
            known += 1
        return total / known if known else 0.0
