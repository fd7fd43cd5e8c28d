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
        self._source, _ = _read(folder)
        self._target, self._clean_up = _read(own) if own.is_dir() else _read(folder)
        self._source.no_padding()
        if longest_source is None:
            self._source.no_truncation()
        else:
            self._source.enable_truncation(longest_source, direction=_settings(folder).get("truncation_side", "right"))

    def encoded(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, its end token included, cut to the longest source that the model can place."""
        return [encoding.ids for encoding in self._source.encode_batch_fast(list(texts))]

    def decoded(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The texts of token ids, special tokens left out."""
        found: list[str] = self._target.decode_batch([list(row) for row in rows], skip_special_tokens=True)
        return [_settled(text) for text in found] if self._clean_up else found


def padded(rows: Sequence[Sequence[int]], padding: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, both ``[B, S]``, padded on the right to the longest row."""
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), padding, np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return ids, mask


def _read(folder: Path) -> tuple[Any, bool]:
    """The tokenizer in `folder`, and whether its texts are cleaned up."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError("no tokenizer.json here: not a folder of 'zoo export'", where=str(folder))
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library has none of its own
        raise InputError(f"cannot be read ({' '.join(str(error).split())[:200]})", where=str(path)) from error
    settings = _settings(folder)
    tokenizer.encode_special_tokens = bool(settings.get("split_special_tokens", False))
    return tokenizer, bool(settings.get("clean_up_tokenization_spaces", False))


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
