"""Options of the probes. Torch-free."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from zoo.probes.options import ProbeOptions

TokenClass = Literal["special", "tag", "quote", "punctuation", "content"]


class ShiftOptions(ProbeOptions):
    """Options of `shift`."""

    offset: int = Field(default=16, ge=1, description="Constant that is added to every position")


class IndexR2Options(ProbeOptions):
    """Options of `index-r2`."""

    max_examples: int = Field(
        default=200, ge=1, description="Examples that are looked at; every other one is held out from the fit"
    )
    shuffle: bool = Field(
        default=True,
        description="Shuffle the tokens of each sentence first, so that which words stand where tells no index",
    )
    within_sentences: bool = Field(
        default=True,
        description="Count deviations from each sentence's mean, so that knowing a sentence's length tells no index",
    )
    ridge: float = Field(
        default=1e-6, ge=0, description="Penalty on squared weights, as a multiple of the states' mean variance"
    )


class CachedDecodingOptions(ProbeOptions):
    """Options of `cached-decoding`."""

    max_examples: int = Field(default=8, ge=1, description="Examples that are decoded token by token")


class CrossAttentionMassOptions(ProbeOptions):
    """Options of `cross-attention-mass`."""

    sink: list[TokenClass] = Field(
        default=["special"], description="Classes that the decoder is kept from seeing for the loss without the sink"
    )


class SourceMassOptions(ProbeOptions):
    """Options of `source-mass`."""

    steps: int = Field(default=32, ge=1, description="Target steps that the series shows")


class RepetitionOptions(ProbeOptions):
    """Options of `repetition`."""

    later: ClassVar[frozenset[str]] = frozenset({"fragment"})

    max_examples: int = Field(default=1000, ge=1, description="Outputs that are looked at")
    unit: Literal["word", "token"] = Field(
        default="word",
        description="What n-grams are made of: words (characters in scripts without spaces), or the tokens of the "
        "target's tokenizer, as in the paper",
    )
    largest: int = Field(default=4, ge=1, le=16, description="Longest n-gram")
    fragment: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Let the model also write for fragments: the first part of each source, this share of its "
        "characters; whole sources alone where absent",
    )


class GradientNormsOptions(ProbeOptions):
    """Options of `gradient-norms`."""

    max_examples: int = Field(default=16, ge=1, description="Examples of the one batch")
