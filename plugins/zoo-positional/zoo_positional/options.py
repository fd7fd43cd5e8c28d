"""Options of the position schemes. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.spec.options import Options


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


class AlibiOptions(Options):
    """Options of `alibi`."""

    exponent: float = Field(
        default=8.0,
        gt=0,
        description="Steepness E of the slopes 2^(-E h/H) of the heads h = 1..H; the paper's is 8",
    )
