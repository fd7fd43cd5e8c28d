"""Names that strangers chose, made fit for headings and for file names."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LONGEST_LINE = 160
"""Characters of a heading, label or name."""
LONGEST_TEXT = 20_000
"""Characters of a text that a page shows, such as an output or a spec; a record holds the whole."""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    """`text` as HTML can hold it: control characters and lone surrogates are shown as U+FFFD.

    Line feeds, tabs and the marks that right-to-left scripts need stay; pages isolate them with ``<bdi>``.
    """
    return _UNPRINTABLE.sub(REPLACEMENT, text.replace("\r\n", "\n"))


def shortened(text: str, longest: int) -> str:
    """`text`, or its beginning and how much was cut: a page says what it leaves out."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}{_cut(text)}"


def _cut(text: str) -> str:
    return f"\N{HORIZONTAL ELLIPSIS} (cut: {len(text):,} characters)"


def one_line(text: str) -> str:
    """`text` for headings, titles and labels: one line, nothing invisible that could reorder what stands beside it.

    What no heading can hold is cut, and the cut is said.
    """
    if len(text) <= LONGEST_LINE:
        return _one_line(text)
    return f"{_one_line(text[:LONGEST_LINE])}{_cut(text)}"


@lru_cache(maxsize=16384)
def _one_line(text: str) -> str:
    joined = " ".join(printable(text).split())
    return "".join(REPLACEMENT if unicodedata.category(char) in _INVISIBLE else char for char in joined) or "(no name)"


def slug(*parts: str) -> str:
    """A file name for `parts`: the last one, cleaned, and a hash of all, so that no two and no path ever meet."""
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:10]
    return f"{_clean(parts[-1]) or 'x'}-{digest}"


def unique_keys(labels: Iterable[str]) -> list[str]:
    """One key per label for attributes and permalinks: letters, digits and dashes; repeated ones are numbered."""
    seen: dict[str, int] = {}
    keys = []
    for label in labels:
        base = _clean(label) or "x"
        seen[base] = seen.get(base, 0) + 1
        keys.append(base if seen[base] == 1 else f"{base}--{seen[base]}")
    return keys


def _clean(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text)[:48].strip("-")
