"""The part of a model section that says what a detector sees of an image."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from zoo.spec.options import Options


class PixelSection(Options):
    """Images as a detector reads them: fitted into a frame, aspect kept, padded at the bottom and on the right."""

    max_height: int = Field(default=640, ge=1, le=65536, description="Images are shrunk to at most so many rows")
    max_width: int = Field(default=640, ge=1, le=65536, description="Images are shrunk to at most so many columns")
    enlarge: bool = Field(default=False, description="Whether smaller images are enlarged until they fill the frame")
    multiple: int = Field(
        default=32, ge=1, le=1024, description="Both sides of a batch are padded to whole multiples of so many pixels"
    )
    mean: list[float] = Field(
        default=[0.5, 0.5, 0.5], min_length=3, max_length=3, description="Subtracted from red, green and blue in 0..1"
    )
    std: list[float] = Field(
        default=[0.5, 0.5, 0.5], min_length=3, max_length=3, description="What they are then divided by"
    )
    resample: Literal["bilinear", "bicubic", "lanczos"] = Field(
        default="bilinear", description="Filter of resizing (Pillow's, which low-passes where it shrinks)"
    )

    @model_validator(mode="after")
    def _deviations_are_positive(self) -> PixelSection:
        if min(self.std) <= 0:
            raise ValueError(f"std: expected numbers above 0, found {min(self.std)}")
        return self
