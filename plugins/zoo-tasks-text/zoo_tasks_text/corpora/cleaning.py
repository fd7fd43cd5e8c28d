"""Cleaning of aligned text: white space, sentences, and reasons to leave a pair out."""

from __future__ import annotations

import re
import unicodedata

from zoo_tasks_text.corpora.splits import comparison_key

_HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = r"\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_PUNCTUATION = r"\u3001-\u303f\uff01-\uff65"
_WIDE = rf"[{_HAN}{_KANA}{_PUNCTUATION}]"
_IDEOGRAPH = re.compile(rf"[{_HAN}]")
_KANA_LETTER = re.compile(rf"[{_KANA}]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_SPACE_BETWEEN_WIDE = re.compile(rf"(?<={_WIDE})\s+(?={_WIDE})")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u2028-\u202e\u2060\ufeff\u00ad]")
_PLACEHOLDER = re.compile(r"\$\[\w+\]|%[A-Z]{4,}|\$\{\w+\}|\{\{|\}\}|&[a-z]+;|<[/a-zA-Z?][^>]*>|\bnot found\]")
_NUMBER = re.compile(r"\d+")

LONGEST = 1000
"""Characters of the longest side."""
DENSITY = {"zh": 3.7, "ja": 2.2}
"""English characters that one wide character stands for: the median over this help's pairs of 60 characters or more."""


def clean(text: str) -> str:
    """One line: NFC, invisible characters out, white space single, none where a line was wrapped inside wide text."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    text = " ".join(text.split())
    return _SPACE_BETWEEN_WIDE.sub("", text)


def script_fits(text: str, language: str) -> bool:
    """Whether the letters of `text` are, on the whole, those of `language` (en, zh or ja)."""
    ideographs, kana, latin = (len(pattern.findall(text)) for pattern in (_IDEOGRAPH, _KANA_LETTER, _LATIN))
    if language == "en":
        return latin > 0 and ideographs + kana == 0
    # Product and function names stay Latin, so a wide letter counts for several.
    own = ideographs + (kana if language == "ja" else 0)
    return own > 0 and 6 * own >= latin and (language == "ja" or kana == 0)


def weight(text: str, language: str) -> float:
    """Length in characters of English."""
    wide = len(_IDEOGRAPH.findall(text)) + len(_KANA_LETTER.findall(text))
    return len(text) - wide + DENSITY.get(language, 1.0) * wide


def lengths_fit(english: str, other: str, language: str, *, ratio: float = 2.0) -> bool:
    """Whether neither side is much longer than the other; short texts may differ more."""
    slack = 12
    first, second = len(english) + slack, weight(other, language) + slack
    return first <= ratio * second and second <= ratio * first


def reason_to_drop(english: str, other: str, language: str) -> str | None:
    """Why the pair is no translation to learn from, or None."""
    if not english or not other:
        return "empty"
    if len(english) < 2 or len(_LATIN.findall(english)) < 2:
        return "too short"
    if max(len(english), len(other)) > LONGEST:
        return "too long"
    if comparison_key(english) == comparison_key(other):
        return "untranslated"
    if not script_fits(english, "en") or not script_fits(other, language):
        return "wrong script"
    if _PLACEHOLDER.search(english) or _PLACEHOLDER.search(other):
        return "placeholder or markup"
    if not lengths_fit(english, other, language):
        return "length ratio"
    numbers = [set(_NUMBER.findall(unicodedata.normalize("NFKC", side))) for side in (english, other)]
    if all(numbers) and not numbers[0] & numbers[1]:
        return "other numbers"
    return None


_WIDE_END = re.compile(
    r"(?<=[。！？])(?![。！？”’」』）\)\]》])|(?<=[。！？][”’」』）\)\]》])(?![。！？”’」』）\)\]》])"
)
_ENGLISH_END = re.compile(r"(?<=[.!?])\s+(?=[\"“‘(\[]?[A-Z0-9])|(?<=[.!?][\"”’)\]])\s+(?=[\"“‘(\[]?[A-Z0-9])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|Fig|No|Nr|Mr|Ms|Dr|St|[A-Z])|^\W*\d+)\.$")


def sentences(text: str, language: str) -> list[str]:
    """The sentences of a cleaned paragraph."""
    if language != "en":
        return [part.strip() for part in _WIDE_END.split(text) if part.strip()]
    found: list[str] = []
    for part in _ENGLISH_END.split(text):
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] += " " + part
        else:
            found.append(part)
    return [part for part in found if part]


def aligned_sentences(english: str, other: str, language: str) -> list[tuple[str, str]]:
    """Sentence pairs where both sides have equally many of fitting lengths, else the whole paragraph as one pair."""
    left, right = sentences(english, "en"), sentences(other, language)
    if len(left) == len(right) > 1:
        pairs = list(zip(left, right, strict=True))
        if all(lengths_fit(first, second, language) for first, second in pairs):
            return pairs
    return [(english, other)]
