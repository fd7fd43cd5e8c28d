"""The vocabulary of a model: its sizes, its special ids, and what they mean for generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.models.tokenizers import Tokenizers
from zoo.spec import ModelSection


@dataclass(frozen=True)
class Vocabulary:
    """What `zoo.models.assemble` is told of the tokenizers."""

    size: int
    """Tokens that the model writes."""
    source_size: int | None = None
    """Tokens that it reads, where these are others."""
    token_ids: Mapping[str, Any] | None = None
    """Special ids as `ZooConfig` takes them, where they are not zoo's own."""
    generation: Mapping[str, Any] = field(default_factory=dict)
    """Of transformers' GenerationConfig."""

    @classmethod
    def of(cls, tokenizers: Tokenizers) -> Vocabulary:
        """That of tokenizers which zoo trained."""
        return cls(len(tokenizers.target), tokenizers.source_vocabulary_size)


def pretrained_vocabulary(section: ModelSection, tokenizers: Tokenizers) -> Vocabulary:
    """That of a pretrained model, with rows for tokens that were added to its tokenizer.

    A pretrained model may have more rows than its tokenizer has tokens: they stay, so that its logits do.
    """
    pretrained = section.pretrained
    if pretrained is None:
        raise ValueError("the section names no pretrained model")
    apart = pretrained.decoder_vocab_size is not None
    source, target = pretrained.vocab_size, pretrained.decoder_vocab_size or pretrained.vocab_size
    if not apart:
        target = max(target, len(tokenizers.target))
    elif not tokenizers.shared:  # one that reads both sides has no row for each of its tokens on either
        source, target = max(source, len(tokenizers.source)), max(target, len(tokenizers.target))
    return Vocabulary(
        size=target,
        source_size=source if apart else None,
        token_ids={
            "pad_token_id": pretrained.pad,
            "eos_token_id": pretrained.eos,
            "bos_token_id": pretrained.bos,
            "decoder_start_token_id": pretrained.decoder_start,
        },
        generation={
            "forced_bos_token_id": pretrained.forced_bos,
            "forced_eos_token_id": pretrained.forced_eos,
            "bad_words_ids": pretrained.banned or None,
        },
    )
