"""Options of the tokenizers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.spec.options import Options


class VocabularyOptions(Options):
    """What every tokenizer has."""

    vocab_size: int = Field(
        default=8000, ge=8, le=500_000, description="Number of tokens V, the four special ones included"
    )
    normalization: Literal["nfkc", "none"] = Field(
        default="nfkc",
        description="Unicode normalisation of all text; runs of white space become one space in any case",
    )
    max_lines: int = Field(
        default=2_000_000,
        ge=1,
        description="Train on at most N texts, drawn from all with a fixed seed: trainers hold what they learn from in "
        "memory",
    )


class TokenizerOptions(VocabularyOptions):
    """Pieces of characters: unigram and BPE."""

    character_coverage: float = Field(
        default=0.9995,
        gt=0.5,
        le=1.0,
        description="Share of character occurrences that get a token; the rest is unk or bytes",
    )
    byte_fallback: bool = Field(
        default=False, description="Spell characters without a token as UTF-8 bytes (256 tokens of the vocabulary)"
    )


class UnigramOptions(TokenizerOptions):
    """SentencePiece's unigram pieces, with its bounds."""

    character_coverage: float = Field(
        default=0.9995,
        ge=0.98,
        le=1.0,
        description="Share of character occurrences that get a token; the rest is unk or bytes",
    )


class ByteLevelOptions(VocabularyOptions):
    """Bytes, and pieces of them."""

    vocab_size: int = Field(
        default=8000,
        ge=260,
        le=500_000,
        description="Number of tokens V: 4 special ones, 256 bytes, then merges; 260 is bytes alone, as in ByT5",
    )


class WordOptions(VocabularyOptions):
    """Whole words."""

    cjk: Literal["characters", "words"] = Field(
        default="characters",
        description="Han and kana: a token each, as they are written without spaces, or words between spaces",
    )
    punctuation: Literal["apart", "attached"] = Field(
        default="apart", description="Punctuation and symbols: a token each, or part of the word they touch"
    )
