"""Options of resize policies and patch positions. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from zoo.spec.options import Options


class SquashOptions(Options):
    """Options of `squash`."""

    height: int = Field(default=384, ge=1, le=16384, description="Height of every image, in pixels: whole patches")
    width: int = Field(default=384, ge=1, le=16384, description="Width of every image, in pixels: whole patches")


class LetterboxOptions(SquashOptions):
    """Options of `letterbox`."""

    align: Literal["centre", "top-left"] = Field(default="centre", description="Where the image stands on the canvas")
    colour: list[int] | None = Field(
        default=None,
        description="Colour of the padding, 0..255, one number or one for each channel; where absent, padding is 0 "
        "after normalisation",
    )

    @field_validator("colour")
    @classmethod
    def _a_colour_is_of_bytes(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and (len(value) not in (1, 3) or not all(0 <= item <= 255 for item in value)):
            raise ValueError(f"expected 1 number of 0..255, or 3, found {value}")
        return value


class PaddedOptions(Options):
    """What `native` and `large` have in common."""

    multiple: int = Field(
        default=16, ge=1, le=1024, description="Sides of the canvas are multiples of it (and of the patch's)"
    )


class NativeOptions(PaddedOptions):
    """Options of `native`."""

    max_patches: int | None = Field(
        default=None,
        ge=1,
        description="Patches that an image may have: a larger one is shrunk, its aspect kept. No limit where absent",
    )


class LargeOptions(PaddedOptions):
    """Options of `large`."""

    long_side: int = Field(default=512, ge=1, le=16384, description="S: the longer side of every image, in pixels")
    upscale: bool = Field(default=True, description="Whether smaller images grow to it; else they stay as they are")


class TableOptions(Options):
    """What schemes with a table over rows and columns have in common."""

    rows: int = Field(default=24, ge=1, le=4096, description="Rows of the table")
    columns: int = Field(default=24, ge=1, le=4096, description="Columns of the table")
    std: float = Field(default=0.02, ge=0, description="Standard deviation of the initial table")


class CroppedOptions(TableOptions):
    """Options of `absolute-cropped`."""

    anchor: Literal["top-left", "centre"] = Field(
        default="top-left", description="Which part of the table a smaller grid gets"
    )


class FractionalLearnedOptions(Options):
    """Options of `fractional-learned`."""

    entries: int = Field(default=24, ge=2, le=4096, description="Vectors along each side of an image")
    std: float = Field(default=0.02, ge=0, description="Standard deviation of the initial vectors")


class FractionalFourierOptions(Options):
    """Options of `fractional-fourier`."""

    bandwidth: float = Field(
        default=12.0,
        ge=1,
        le=4096,
        description="Highest frequency, in cycles over the side of an image. Below half the number of patches along a "
        "side, neighbours there cannot be told apart (Nyquist)",
    )
    frequencies: int = Field(
        default=16, ge=1, le=4096, description="Frequencies along each side, evenly spaced from 1 to the bandwidth"
    )
    std: float = Field(default=0.02, ge=0, description="Standard deviation of the vectors added at the start")


class RelativeBias2dOptions(Options):
    """Options of `relative-bias-2d`."""

    rows: int = Field(default=24, ge=1, le=1024, description="Distances in rows from it on share a bias")
    columns: int = Field(default=24, ge=1, le=1024, description="Distances in columns from it on share a bias")
    shared: bool = Field(default=True, description="One table for all layers; else each layer has its own (as in BEiT)")
    std: float = Field(default=0.02, ge=0, description="Standard deviation of the initial biases; BEiT's is 0")


class Rotary2dOptions(Options):
    """Options of `rotary-2d`."""

    base: float = Field(
        default=100.0, gt=1, description="Ratio between the longest and the shortest wavelength along each side"
    )
