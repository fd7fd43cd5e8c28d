"""Options of the metrics. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from zoo.spec.options import Options


class Resampled(Options):
    """Metrics with a bootstrap interval."""

    resamples: int = Field(default=1000, ge=100, le=100_000, description="Bootstrap resamples of the 95% interval")
    seed: int = Field(default=12345, ge=0, lt=2**32, description="Seed of the bootstrap")


class BleuOptions(Resampled):
    """BLEU by sacrebleu."""

    tokenize: Literal["13a", "intl", "zh", "ja-mecab", "char", "none"] = Field(
        default="13a", description="sacrebleu's tokenizer; zh for Chinese, ja-mecab for Japanese targets"
    )
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
