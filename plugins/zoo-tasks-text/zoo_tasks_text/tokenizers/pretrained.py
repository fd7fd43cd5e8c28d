"""The tokenizer of a pretrained model."""

from __future__ import annotations

from typing import Any

from zoo.errors import InputError
from zoo.tasks import PretrainedTokenizer

_NO_LIMIT = int(1e30)
"""transformers' own way of saying so: what is too long for the model is the host's to know, and not warned of."""


class Pretrained(PretrainedTokenizer):
    """What `transformers.AutoTokenizer` makes of the checkpoint's files.

    A text that spells a special token is text: data cannot end a sentence.
    """

    def load(self, checkpoint: str) -> Any:
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(
                checkpoint, split_special_tokens=True, padding_side="right", model_max_length=_NO_LIMIT
            )
        except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
            text = " ".join(str(error).split())[:160]
            raise InputError(
                f"has no tokenizer that transformers loads ({type(error).__name__}: {text})", where=checkpoint
            ) from error
        for name in ("pad", "eos"):
            if getattr(tokenizer, f"{name}_token_id") is None:
                raise InputError(f"its tokenizer has no {name} token", where=checkpoint)
        found = tokenizer("a")["input_ids"]
        if not found or found[-1] != tokenizer.eos_token_id:
            raise InputError(
                f"its tokenizer does not end a text in its end token '{tokenizer.eos_token}', which training relies on",
                where=checkpoint,
            )
        return tokenizer
