"""Options of the tokenizers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.spec.options import Options


class TokenizerOptions(Options):
    """What the trained tokenizers share."""

    vocab_size: int = Field(
        default=8000, ge=8, le=500_000, description="Number of tokens V, the four special ones included"
    )
    character_coverage: float = Field(
        default=0.9995,
        gt=0.5,
        le=1.0,
        description="Share of character occurrences that get a token; the rest is unk or bytes",
    )
    normalization: Literal["nfkc", "none"] = Field(
        default="nfkc",
        description="Unicode normalisation of all text; runs of white space become one space in any case",
    )
    byte_fallback: bool = Field(
        default=False, description="Spell characters without a token as UTF-8 bytes (256 tokens of the vocabulary)"
    )
