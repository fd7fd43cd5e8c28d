"""Options of the metrics. Torch-free."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from zoo.spec.options import Options


class Resampled(Options):
    """Metrics with a bootstrap interval."""

    resamples: int = Field(default=1000, ge=100, le=100_000, description="Bootstrap resamples of the 95% interval")
    seed: int = Field(default=12345, ge=0, lt=2**32, description="Seed of the bootstrap")


Tokenizer = Literal["13a", "intl", "zh", "ja-mecab", "char", "none"]
_TOKENIZER = "sacrebleu's tokenizer; zh for Chinese, ja-mecab for Japanese targets"


class BleuOptions(Resampled):
    """BLEU by sacrebleu."""

    tokenize: Tokenizer = Field(default="13a", description=_TOKENIZER)
    lowercase: bool = Field(default=False, description="Ignore case")


class ChrfOptions(Resampled):
    """chrF by sacrebleu."""

    char_order: int = Field(default=6, ge=1, le=20, description="Longest character n-gram")
    word_order: int = Field(default=0, ge=0, le=10, description="Longest word n-gram; 2 is chrF++")
    beta: int = Field(default=2, ge=1, le=10, description="Weight of recall over precision")
    lowercase: bool = Field(default=False, description="Ignore case")


class TerOptions(Resampled):
    """TER by sacrebleu."""

    normalized: bool = Field(default=False, description="Split off punctuation and undo XML entities, as Tercom does")
    punctuation: bool = Field(default=True, description="Keep punctuation")
    asian: bool = Field(
        default=False, description="With normalized, count each Chinese or Japanese character as a word"
    )
    case_sensitive: bool = Field(default=False, description="Heed case; Tercom does not")


class CerOptions(Resampled):
    """Character error rate."""

    normalization: Literal["nfc", "nfkc", "none"] = Field(
        default="nfc", description="Unicode normalisation of both sides; nfkc also makes full width and half width one"
    )
    space: Literal["collapse", "remove", "keep"] = Field(
        default="collapse",
        description="White space: runs are one space and none at the ends (collapse), none at all (remove), as it is",
    )
    lowercase: bool = Field(default=False, description="Ignore case")


class CerByStratumOptions(CerOptions):
    """Character error rate by groups of examples."""

    by: list[str] = Field(
        default=["aspect", "height"],
        min_length=1,
        max_length=4,
        description="What the task groups its examples by, of which all combinations are strata",
    )


class CometOptions(Resampled):
    """COMET by unbabel-comet."""

    model: str = Field(
        min_length=1,
        max_length=1000,
        description="Folder with hparams.yaml and checkpoints/model.ckpt, that model.ckpt itself, or a hub id such as "
        "Unbabel/wmt22-comet-da",
    )
    batch_size: int = Field(default=16, ge=1, le=4096, description="Examples scored at once")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: the GPU where there is one")


class ExactMatchOptions(Options):
    """Share of outputs equal to their reference."""

    lowercase: bool = Field(default=False, description="Ignore case")


class ContrastiveOptions(Options):
    """Contrastive accuracy."""


class RareTokenRecallOptions(Options):
    """Recall of words by their training frequency."""

    bands: tuple[Annotated[int, Field(ge=1, le=10**12)], ...] = Field(
        default=(5, 20, 100),
        min_length=1,
        max_length=20,
        strict=False,
        description="Highest frequency of each band, the rarest words' first; more frequent words are in one more band",
    )
    band: int = Field(
        default=1,
        ge=0,
        le=21,
        description="The band that the score is of: 1 the rarest words of the training targets, 2 the next, ...; 0 "
        "words that these lack. The other bands stand in the details",
    )
    tokenize: Tokenizer = Field(default="13a", description=_TOKENIZER)
    lowercase: bool = Field(default=False, description="Ignore case")

    @model_validator(mode="after")
    def _bands_rise_and_the_chosen_one_is_there(self) -> RareTokenRecallOptions:
        if any(low >= high for low, high in pairwise(self.bands)):
            raise ValueError(f"bands {', '.join(map(str, self.bands))}: expected each to be above the one before it")
        if self.band > len(self.bands) + 1:
            raise ValueError(f"band {self.band}: there are 0 to {len(self.bands) + 1} ({', '.join(self.labels)})")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """``unseen``, ``1-5``, ``6-20``, ``21-100``, ``above-100``."""
        lowest = (1, *(top + 1 for top in self.bands))
        named = (f"{low}-{top}" if low < top else str(top) for low, top in zip(lowest, self.bands, strict=False))
        return ("unseen", *named, f"above-{self.bands[-1]}")


class OmittedOptions(Resampled):
    """Omitted sentences."""


class PhenomenonAccuracyOptions(Options):
    """Share of the words of one phenomenon that are right."""

    phenomenon: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,40}$",
        description="Which checks of the examples count, such as homograph, pronoun, term, register, entity, rare-word",
    )
    min_distance: int | None = Field(
        default=None, ge=0, description="Only checks with at least N source words between the word and what decides it"
    )
    max_distance: int | None = Field(default=None, ge=0, description="Only checks with at most N such words")

    @model_validator(mode="after")
    def _distances_in_order(self) -> PhenomenonAccuracyOptions:
        if self.min_distance is not None and self.max_distance is not None and self.min_distance > self.max_distance:
            raise ValueError(f"min_distance {self.min_distance} is above max_distance {self.max_distance}")
        return self
