"""Collapse: a model that says the same whatever it is asked, told from a test set that repeats itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

# Scripts written without spaces count by the character, all else by runs of non-space.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")

MINIMUM_OUTPUTS = 10
"""Fewer outputs are not judged: three equal answers to three questions prove nothing."""
DISTINCT_FACTOR = 0.1
TOP_SHARE, TOP_FACTOR = 0.5, 2.0
FOUR_GRAM_SHARE, FOUR_GRAM_FACTOR = 0.25, 5.0


def distinct_output_ratio(outputs: Sequence[str]) -> float:
    """Different outputs over all outputs, in (0, 1]; surrounding space does not make a difference.

    Raises ValueError for no outputs.
    """
    return len(set(_stripped(outputs))) / len(outputs)


def top_output_share(outputs: Sequence[str]) -> float:
    """Share of the most frequent output, in (0, 1]. Raises ValueError for no outputs."""
    return Counter(_stripped(outputs)).most_common(1)[0][1] / len(outputs)


def top_four_gram_share(outputs: Sequence[str]) -> float:
    """Share of the most frequent word 4-gram among all 4-grams of all outputs; 0 where no output has four words.

    A model that loops shows here even if every output is different. Raises ValueError for no outputs.
    """
    count, total = _top_four_gram(outputs)
    return count / total if total else 0.0


def collapsed(outputs: Sequence[str], references: Sequence[str]) -> str | None:
    """Why the outputs count as collapsed, in one line, or None.

    Every threshold is relative to the references, which are what a perfect model would say: a test set with few
    different references makes no model collapsed. With at least 10 outputs, any one of these is collapse:

    - the distinct-output ratio is below a tenth of the references';
    - one output makes up more than half of all, and more than twice the share of the most frequent reference;
    - one 4-gram makes up more than a quarter of all 4-grams, more than five times the references' share, and occurs
      at least as often as there are outputs (else a few loops among sentences too short for a 4-gram would do).

    Raises ValueError where the lengths differ.
    """
    if len(outputs) != len(references):
        raise ValueError(f"{len(outputs)} outputs for {len(references)} references")
    if len(outputs) < MINIMUM_OUTPUTS:
        return None
    distinct, expected_distinct = distinct_output_ratio(outputs), distinct_output_ratio(references)
    if distinct < DISTINCT_FACTOR * expected_distinct:
        return f"{distinct:.1%} of the outputs are distinct, {expected_distinct:.1%} of the references"
    top, expected_top = top_output_share(outputs), top_output_share(references)
    if top > TOP_SHARE and top > TOP_FACTOR * expected_top:
        return f"one output makes up {top:.1%} of all, the most frequent reference {expected_top:.1%}"
    gram, expected_gram = top_four_gram_share(outputs), top_four_gram_share(references)
    frequent = _top_four_gram(outputs)[0] >= len(outputs)
    if frequent and gram > FOUR_GRAM_SHARE and gram > FOUR_GRAM_FACTOR * expected_gram:
        return f"one 4-gram makes up {gram:.1%} of all 4-grams, {expected_gram:.1%} in the references"
    return None


def collapse_probes(outputs: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """The named scalars behind `collapsed`, of the outputs and of the references."""
    return {
        "distinct_output_ratio": distinct_output_ratio(outputs),
        "top_output_share": top_output_share(outputs),
        "top_four_gram_share": top_four_gram_share(outputs),
        "reference_distinct_ratio": distinct_output_ratio(references),
        "reference_top_share": top_output_share(references),
        "reference_top_four_gram_share": top_four_gram_share(references),
    }


def words(text: str) -> list[str]:
    """The words of a text: characters of scripts written without spaces, and runs of others between spaces."""
    return _WORD.findall(text)


def _stripped(outputs: Sequence[str]) -> list[str]:
    if not outputs:
        raise ValueError("collapse is judged on at least one output")
    return [output.strip() for output in outputs]


def _top_four_gram(outputs: Sequence[str]) -> tuple[int, int]:
    """How often the most frequent word 4-gram occurs, and how many 4-grams there are."""
    counts = Counter(gram for output in _stripped(outputs) for gram in _four_grams(output))
    return (counts.most_common(1)[0][1], counts.total()) if counts else (0, 0)


def _four_grams(text: str) -> Iterable[tuple[str, ...]]:
    found = words(text)
    return zip(found, found[1:], found[2:], found[3:], strict=False)
