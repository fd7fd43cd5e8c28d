"""Options of the position schemes. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from zoo.spec.options import Chosen, Options, Slot


class SinusoidalOptions(Options):
    """Options of `sinusoidal`."""

    layout: Literal["halves", "interleaved"] = Field(
        default="halves",
        description=(
            "Order of the features: halves puts all sines before all cosines (MarianMTModel), "
            "interleaved alternates them (Vaswani et al. 2017, section 3.5)"
        ),
    )
    base: float = Field(default=10000.0, gt=1, description="Ratio between the longest and the shortest wavelength")


class ShapeOptions(SinusoidalOptions):
    """Options of `shape`."""

    max_offset: int = Field(
        default=500, ge=1, description="K: in training, offsets are drawn from {0, ..., K - 1}; the paper's is 500"
    )
    evaluation_offset: int = Field(
        ge=0, description="The offset outside training; to be given, as results depend on it (the authors' is K)"
    )


class LearnedOptions(Options):
    """Options of `learned`."""

    std: float = Field(default=0.02, ge=0, description="Standard deviation of the initial table")


class RotaryOptions(Options):
    """Options of `rotary`."""

    base: float = Field(default=10000.0, gt=1, description="Ratio between the longest and the shortest wavelength")
    layout: Literal["half-split", "interleaved"] = Field(
        default="half-split",
        description=(
            "Which features turn together: half-split pairs m with m + Dh/2 (GPT-NeoX, Llama), "
            "interleaved pairs 2m with 2m + 1 (the paper, GPT-J); weights do not carry over from one to the other"
        ),
    )
    values: Literal["none", "rotate", "inverse"] = Field(
        default="none",
        description=(
            "Whether values are turned too: none (the paper), rotate, or inverse, which turns the output back "
            "(arXiv:2606.11275); with rotate, the output depends on absolute positions"
        ),
    )


class ShawOptions(Options):
    """Options of `shaw`."""

    clip: int = Field(default=16, ge=1, le=4096, description="k: distances beyond it share a vector; the paper's is 16")
    values: bool = Field(
        default=True, description="Vectors on the side of the values too (equation 3); else on that of the keys alone"
    )


class T5Options(Options):
    """Options of `t5`."""

    buckets: int = Field(
        default=32,
        ge=4,
        multiple_of=4,
        description="Buckets of distances; half for each direction where attention looks both ways",
    )
    max_distance: int = Field(default=128, ge=2, description="Distances from here on share the last bucket")


class AlibiOptions(Options):
    """Options of `alibi`."""

    shape: Literal["symmetric", "asymmetric"] = Field(
        default="symmetric",
        description=(
            "symmetric: -s|j - i| in both directions; asymmetric: -s|j - i + b| with b = +1, -2, +3, ... of the heads, "
            "but 0 in causal self-attention, as Marian's --alibi"
        ),
    )
    slopes: Literal["geometric", "marian"] = Field(
        default="geometric",
        description=(
            "geometric: those of the paper; marian: 2, 1, 1/2, 1/4 and 1/20 for all other heads, 1/10 in "
            "cross-attention, 2^(-8 h/H) in causal self-attention (Marian's --alibi trains them from there; here "
            "they stay)"
        ),
    )
    exponent: float = Field(
        default=8.0,
        gt=0,
        description="Steepness E of geometric slopes, 2^(-E h/H) of the heads h = 1..H; the paper's is 8",
    )

    @model_validator(mode="after")
    def _marian_has_no_exponent(self) -> AlibiOptions:
        if self.slopes == "marian" and self.exponent != type(self).model_fields["exponent"].default:
            raise ValueError(f"exponent {self.exponent} is for geometric slopes: those of marian are as they are")
        return self


class SumOptions(Options):
    """Options of `sum`."""

    of: list[Annotated[Chosen, Slot("position")]] = Field(
        min_length=1, max_length=8, description="The schemes, in the order in which they rotate queries and keys"
    )


class PTransformerOptions(SinusoidalOptions):
    """Options of `p-transformer`."""

    relative: Literal["none", "shaw-keys", "shaw-keys-and-values"] = Field(
        default="shaw-keys", description="Relative positions in self-attention, as of Shaw et al. 2018"
    )
    clip: int = Field(default=16, ge=1, le=4096, description="Relative distances beyond it share a vector")

    @model_validator(mode="after")
    def _clip_is_of_relative_positions(self) -> PTransformerOptions:
        if self.relative == "none" and self.clip != type(self).model_fields["clip"].default:
            raise ValueError(f"clip {self.clip} is for relative positions, and relative is none")
        return self


class DebertaOptions(Options):
    """Options of `deberta`."""

    clip: int = Field(
        default=128, ge=1, le=4096, description="k: distances from it on share a vector; the paper's is 512"
    )


class TransformerXlOptions(Options):
    """Options of `transformer-xl`."""

    clip: int = Field(
        default=128, ge=1, le=4096, description="Distances beyond it count as it; the paper has no such end"
    )
    base: float = Field(default=10000.0, gt=1, description="Ratio between the longest and the shortest wavelength")
