"""Classes of source tokens that attention may treat apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

CLASSES = ("special", "tag", "quote", "punctuation", "content")
"""special: end, begin and padding tokens; tag: the task's own tokens; quote: quotation marks alone; punctuation: other
punctuation alone (Unicode's categories P*); content: the rest, with unknown tokens."""
_QUOTES = frozenset("\"'`´＂＇“”„‟‘’‚‛«»‹›「」『』﹁﹂﹃﹄〝〞〟｢｣")


class TokenClasses:
    """The class of each token of one tokenizer, as a place in CLASSES; looked up once a token."""

    def __init__(self, tokenizer: Any, special: Collection[int], tags: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._known = dict.fromkeys(tags, CLASSES.index("tag"))
        self._known |= dict.fromkeys(set(special) - {tokenizer.unk_token_id}, CLASSES.index("special"))
        self._known[tokenizer.unk_token_id] = CLASSES.index("content")

    def __call__(self, tokens: Tensor) -> Tensor:
        """Token ids ``[B, S]`` -> classes ``[B, S]``."""
        unique, places = tokens.cpu().unique(return_inverse=True)  # [U], [B, S]
        classes = torch.tensor([self._class(int(token)) for token in unique])  # [U]
        return classes[places].to(tokens.device)  # [B, S]

    def _class(self, token: int) -> int:
        if token not in self._known:
            self._known[token] = CLASSES.index(text_class(self._tokenizer.decode([token])))
        return self._known[token]


def text_class(text: str) -> str:
    """``quote``, ``punctuation`` or ``content``: of a token's text, the space around it aside."""
    text = text.strip()
    if text and all(character in _QUOTES for character in text):
        return "quote"
    if text and all(unicodedata.category(character).startswith("P") for character in text):
        return "punctuation"
    return "content"
