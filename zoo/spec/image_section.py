"""The part of a model section that says how images are read: how they are resized, cut into patches and placed."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from zoo.spec.options import Chosen, Options, Slot


class PatchSection(Options):
    """The size of a patch, in pixels."""

    height: int = Field(default=16, ge=1, le=1024, description="Rows of pixels Ph")
    width: int = Field(default=16, ge=1, le=1024, description="Columns of pixels Pw")


class ImagePreparation(Options):
    """What becomes of an image before a model reads it."""

    input: Annotated[Chosen, Slot("image-input")] = Field(
        description="Resize policy: which size an image gets, and on which canvas it stands"
    )
    patch: PatchSection = Field(default_factory=PatchSection, description="Size of a patch, which becomes one token")
    channels: Literal[1, 3] = Field(default=3, description="Channels C: 3 (red, green, blue) or 1 (grey)")
    mean: list[float] = Field(
        default=[0.5], min_length=1, max_length=3, description="Subtracted from pixels in 0..1: one, or each channel's"
    )
    std: list[float] = Field(
        default=[0.5], min_length=1, max_length=3, description="What they are then divided by: one, or each channel's"
    )
    resample: Literal["bilinear", "bicubic", "lanczos"] = Field(
        default="bilinear", description="Filter of resizing (Pillow's, which low-passes where it shrinks)"
    )

    @field_validator("std")
    @classmethod
    def _deviations_are_positive(cls, value: list[float]) -> list[float]:
        if min(value) <= 0:
            raise ValueError(f"expected numbers above 0, found {min(value)}")
        return value

    @model_validator(mode="after")
    def _one_number_for_each_channel(self) -> Self:
        for name in ("mean", "std"):
            found = len(getattr(self, name))
            if found not in (1, self.channels):
                raise ValueError(f"{name}: expected 1 number or {self.channels}, one for each channel, found {found}")
        return self


class ImageSection(ImagePreparation):
    """Images as an encoder reads them."""

    patch_position: Annotated[Chosen, Slot("patch-position")] = Field(
        description="How the encoder knows where a patch stands"
    )
    registers: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="R trained tokens without position that the encoder reads before the patches (arXiv:2309.16588)",
    )
    registers_in_memory: bool = Field(default=False, description="Whether the decoder sees the registers too")
    mask: Literal["real", "none", "inverted"] = Field(
        default="real",
        description="What is hidden from the encoder and from the decoder's cross-attention: patches without a real "
        "pixel (real); nothing, so that padding is read (none); the real ones, a bug for comparison (inverted)",
    )
    frames: int = Field(
        default=1, ge=1, le=64, description="Frames that an image-ctc writes for each column of patches"
    )

    def preparation(self) -> ImagePreparation:
        """The part that says how images are prepared."""
        return ImagePreparation.model_validate({name: getattr(self, name) for name in ImagePreparation.model_fields})

    @model_validator(mode="after")
    def _registers_are_there_to_be_seen(self) -> ImageSection:
        if self.registers_in_memory and not self.registers:
            raise ValueError("registers_in_memory: there are no registers for the decoder to see: set registers")
        return self


IMAGE_ARCHITECTURES = frozenset({"image-to-text", "image-ctc"})

LACKS: dict[str, tuple[str, ...]] = {
    "image-to-text": ("output_fusion", "context_encoder", "scale_output", "output_bias"),
    "image-ctc": (
        "decoder",
        "position",
        "fusion",
        "output_fusion",
        "context_encoder",
        "scale_output",
        "output_bias",
    ),
}
"""Fields of a model section that an architecture has not."""
NEEDS: dict[str, tuple[str, ...]] = {
    "image-to-text": ("image", "encoder", "decoder", "position", "fusion"),
    "image-ctc": ("image", "encoder"),
}
"""Fields that it must have, beside those of every model."""


def schema_of_images(pretrained: dict[str, Any]) -> dict[str, Any]:
    """What holds of the architectures that read images, for the JSON Schema of the model section; `pretrained` is what
    holds of the model that one begins with."""
    return {
        "if": {"properties": {"architecture": {"const": "image-to-text"}}},
        "then": _schema("image-to-text", pretrained),
        "else": _schema("image-ctc", pretrained),
    }


def _schema(architecture: str, pretrained: dict[str, Any]) -> dict[str, Any]:
    absent: dict[str, Any] = {
        name: {"const": False} if name in {"scale_output", "output_bias"} else {"type": "null"}
        for name in LACKS[architecture]
    }
    present = {name: {"not": {"type": "null"}} for name in NEEDS[architecture]}
    unplaced = {"properties": {"position": {"type": "null"}}}
    properties = {**absent, **present, "encoder": {**present["encoder"], **unplaced}}
    if architecture == "image-to-text":
        decoder = {"properties": {"cross_position": {"type": "null"}}}
        properties["decoder"] = {**present["decoder"], **decoder}
        properties["image"] = {**present["image"], "properties": {"frames": {"const": 1}}}
    else:
        properties["image"] = {**present["image"], "properties": {"registers_in_memory": {"const": False}}}
    return {
        "required": list(NEEDS[architecture]),
        "properties": {**properties, "tie_embeddings": {"enum": ["all", "none"]}, "pretrained": pretrained},
    }
