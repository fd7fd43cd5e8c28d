"""Context that does not fit into a model gives way, the furthest line first; what is to be translated stays whole.

Training and evaluation both read examples through here, so that a model that reads context learns from and is scored on
the sentences of one that reads none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.tasks.contracts import Example


def fitted(tokenizer: Any, examples: Sequence[Example], limit: int) -> list[Example]:
    """The examples with as many of their `context_lines` as leave at most `limit` tokens (eos counted).

    An example that is too long without any context is none the shorter for it, and comes back without.
    """
    found = list(examples)
    places = [place for place, example in enumerate(found) if example.context_lines]
    while places:
        texts = [found[place].source if found[place].context is None else found[place].context for place in places]
        rows = tokenizer(texts, return_attention_mask=False, return_token_type_ids=False)["input_ids"]
        places = [place for place, row in zip(places, rows, strict=True) if len(row) > limit]
        for place in places:
            found[place] = found[place].with_less_context(1)
        places = [place for place in places if found[place].context_lines]
    return found
