"""Texts to token ids and back, with the tokenizers library alone, as transformers does it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from zoo.errors import InputError
from zoo.export.folder import TARGET_TOKENIZER

STRIP, NUMBERED, UNKNOWN = "zoo_strip_decoded", "zoo_numbered", "zoo_unknown"
"""What `zoo export` adds to the tokenizer_config.json of a tokenizer that was none of tokenizers' own: whether what is
decoded loses the spaces around it; from which number on pieces are the unknown token, and that one's number."""

_CLOSE = [".", "?", "!", ","]
_ENDS = ["n't", "'m", "'s", "'ve", "'re"]
_SETTLED = [*((f" {mark}", mark) for mark in _CLOSE), (" ' ", "'"), *((f" {end}", end) for end in _ENDS)]
"""What transformers' `clean_up_tokenization_spaces` replaces."""


class Texts:
    """The tokenizers of source and target: the same one where the sides share it. Nothing of it changes: any number of
    threads may use it at once."""

    def __init__(self, folder: Path, *, longest_source: int | None) -> None:
        """Raises InputError where a tokenizer is missing or damaged."""
        own = folder / TARGET_TOKENIZER
        self._longest = longest_source
        self._source, read = _read(folder)
        self._side = read.get("truncation_side", "right")
        self._target, settings = _read(own) if own.is_dir() else _read(folder)
        self._clean_up = bool(settings.get("clean_up_tokenization_spaces", False))
        self._strip = bool(settings.get(STRIP, False))
        numbered = read.get(NUMBERED)
        self._numbered: int | None = None if numbered is None else int(numbered)
        self._unknown = int(read.get(UNKNOWN, 0))
        self._source.no_padding()
        self._cutting: dict[int | None, Any] = {longest_source: self._source}
        if longest_source is None:
            self._source.no_truncation()
        else:
            self._source.enable_truncation(longest_source, direction=self._side)

    def encoded(self, texts: Sequence[str], longest: int | None = None) -> list[list[int]]:
        """Token ids of each text, its end token included, cut to the longest source that the model can place, or to one
        of `longest` tokens."""
        rows = [encoding.ids for encoding in self._cutting_at(longest or self._longest).encode_batch_fast(list(texts))]
        if self._numbered is None:
            return rows
        return [[number if number < self._numbered else self._unknown for number in row] for row in rows]

    def length(self, text: str) -> int:
        """Tokens of a text, its end token included, however many they are."""
        return len(self._cutting_at(None).encode(text).ids)

    def _cutting_at(self, limit: int | None) -> Any:
        """The source's tokenizer with that limit: one of its own, as calls in other threads may have another."""
        if limit not in self._cutting:
            tokenizer = Tokenizer.from_str(self._source.to_str())
            tokenizer.encode_special_tokens = self._source.encode_special_tokens
            if limit is None:
                tokenizer.no_truncation()
            else:
                tokenizer.enable_truncation(limit, direction=self._side)
            self._cutting[limit] = tokenizer
        return self._cutting[limit]

    def decoded(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The texts of token ids, special tokens left out."""
        found: list[str] = self._target.decode_batch([list(row) for row in rows], skip_special_tokens=True)
        found = [_settled(text) for text in found] if self._clean_up else found
        return [text.strip() for text in found] if self._strip else found


def padded(
    rows: Sequence[Sequence[int]], padding: int, *, left: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, both ``[B, S]``, padded on the right, or on the `left`, to the longest row; S is 1 at least."""
    longest = max(1, *map(len, rows))
    ids = np.full((len(rows), longest), padding, np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for place, row in enumerate(rows):
        where = slice(longest - len(row), longest) if left else slice(len(row))
        ids[place, where] = row
        mask[place, where] = 1
    return ids, mask


def _read(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The tokenizer in `folder`, and what transformers keeps beside it."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError("no tokenizer.json here: not a folder of 'zoo export'", where=str(folder))
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library has none of its own
        raise InputError(f"cannot be read ({' '.join(str(error).split())[:200]})", where=str(path)) from error
    settings = _settings(folder)
    tokenizer.encode_special_tokens = bool(settings.get("split_special_tokens", False))
    return tokenizer, settings


def _settings(folder: Path) -> dict[str, Any]:
    """What transformers keeps beside a tokenizer."""
    path = folder / "tokenizer_config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise InputError(f"cannot be read ({error})", where=str(path)) from None
    return found if isinstance(found, dict) else {}


def _settled(text: str) -> str:
    for spaced, joined in _SETTLED:
        text = text.replace(spaced, joined)
    return text
