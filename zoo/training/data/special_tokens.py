"""A task's special tokens in a trained tokenizer: domain tags and line feeds, one token each.

They are no special tokens in transformers' sense: those are not looked for in text (`split_special_tokens`, so that
data cannot end a sentence), and decoding leaves them out, which would join a document's sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import AddedToken, Regex, decoders

from zoo.errors import ZooError

LINE_FEED = "\n"
_AROUND = ("a", "1.")
"""Texts to try a special token between; what they become does not matter, only that it does not change."""


def add_special_tokens(tokenizer: Any, tokens: Sequence[str], component: str) -> None:
    """Append `tokens` to the vocabulary, in their order. The text on both sides of one is encoded as if alone.

    Where a line feed is among them, decoding puts no space beside it. Raises ZooError, naming the tokenizer's
    `component`, where a token is none afterwards or changes what stands beside it.
    """
    if not tokens:
        return
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ZooError(f"the task has special tokens, which tokenizer '{component}' cannot take: it is run in Python")
    reserved = {tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token}
    for token in tokens:
        if not token or token in reserved or tokens.count(token) > 1:
            raise ZooError(f"the task's special token {token!r} is empty, given twice, or one of the tokenizer's own")
    # Matched before normalisation, which makes white space of line feeds. What stands between two is not taken in.
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in tokens])
    backend = tokenizer.backend_tokenizer
    if LINE_FEED in tokens and backend.decoder is not None:
        bare = decoders.Replace(Regex(f" *{LINE_FEED} *"), LINE_FEED)
        if bare.__getstate__() not in backend.decoder.__getstate__():  # a tokenizer of zoo's may have it already
            backend.decoder = decoders.Sequence([backend.decoder, decoders.Fuse(), bare])
    for token in tokens:
        _check(tokenizer, token, component)


def _check(tokenizer: Any, token: str, component: str) -> None:
    identity = tokenizer.convert_tokens_to_ids(token)
    before = tokenizer("")["input_ids"][:-1]  # BART begins each text with a token
    left, right = (tokenizer(text)["input_ids"] for text in _AROUND)
    found = tokenizer(_AROUND[0] + token + _AROUND[1])["input_ids"]
    alone = tokenizer(token)["input_ids"]
    if found != [*left[:-1], identity, *right[len(before) :]] or alone != [*before, identity, right[-1]]:
        raise ZooError(f"tokenizer '{component}' does not keep the task's special token {token!r} as one token")
    decoded = tokenizer.decode([identity], skip_special_tokens=True)
    if decoded.strip(" ") != token:
        raise ZooError(f"tokenizer '{component}' decodes the task's special token {token!r} as {decoded!r}")
