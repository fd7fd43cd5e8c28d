"""What all strategies have in common: constraints on the output."""

from __future__ import annotations

from typing import Any

from zoo_decoding.options import ConstraintOptions


def constraints(options: ConstraintOptions) -> dict[str, Any]:
    """The constraints as fields of GenerationConfig."""
    return {
        "no_repeat_ngram_size": options.no_repeat_ngram,
        "repetition_penalty": options.repetition_penalty,
        "min_new_tokens": options.min_new_tokens or None,
    }
