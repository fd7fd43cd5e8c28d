"""Options of the exporters."""

from __future__ import annotations

from typing import ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from zoo.spec.options import Options

Weights = Literal["float32", "int8", "float16", "int4"]
Device = Literal["cpu", "cuda"]
WEIGHTS: tuple[str, ...] = get_args(Weights)

LOWEST_OPSET = 18
"""What torch's exporter writes. It tells of lower ones that it converts, and does not."""


class OnnxOptions(Options):
    """ONNX by torch's own exporter, its weights as they are or in fewer bits."""

    later: ClassVar[frozenset[str]] = frozenset(
        {
            "weights",
            "per_channel",
            "reduced_range",
            "block_size",
            "keep_float32",
            "device",
            "calibration",
            "keep_last",
        }
    )
    opset: int = Field(
        default=LOWEST_OPSET,
        ge=LOWEST_OPSET,
        le=22,
        description="Version of the operators. 18 is what torch's exporter writes, for onnxruntime from 1.14. "
        "23 writes attention as one operator, which onnxruntime 1.32 refuses where all queries share a mask",
    )
    device: Device = Field(
        default="cpu",
        description="What it is to run on, where nobody says otherwise. cuda: with two small graphs that reorder beams "
        "and take ended rows out in the GPU's memory",
    )
    weights: Weights = Field(
        default="float32",
        description="Numbers that the weights are written as. int8: every product with a weight is computed in 8 bits, "
        "activations rounded as they come; convolutions of detectors, too, by ranges that are found beforehand. "
        "float16: half the size, faster on GPUs alone. int4: the smallest",
    )
    per_channel: bool = Field(
        default=True,
        description="int8: a scale for each output of a layer, not one for the whole layer",
    )
    reduced_range: bool = Field(
        default=False,
        description="int8: weights of 7 bits. For x86 processors without VNNI, where sums of two products of 8 bits "
        "do not fit their 16 bits and are cut",
    )
    block_size: Literal[16, 32, 64, 128, 256] = Field(
        default=128, description="int4: inputs of a layer that share a scale; the fewer, the closer, larger and slower"
    )
    keep_float32: list[str] = Field(
        default=[],
        description="Layers whose weights stay float32, by their names in the torch model, with * and ? as in a shell: "
        "lm_head, decoder.layers.0.*",
    )
    calibration: int = Field(
        default=32,
        ge=0,
        description="int8 and int4 of detectors: images of the training split on which the ranges of what goes through "
        "convolutions are found; 0: convolutions stay float32",
    )
    keep_last: bool = Field(
        default=True,
        description="int8 and int4 of detectors: the last layers, which scores and boxes are computed of, stay float32",
    )

    @model_validator(mode="after")
    def _keeps_of_something(self) -> Self:
        if self.keep_float32 and self.weights == "float32":
            raise ValueError("keep_float32: with weights 'float32' every layer stays so; choose other weights")
        return self


class TorchOptions(Options):
    """A model's folder once more, in another precision."""

    weights: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="Numbers that the weights are held in, and that is computed in. bfloat16: half the size, 8 bits of "
        "precision and the range of float32. float16: 11 bits, up to 65504, slow on most processors",
    )


class Ctranslate2Options(Options):
    """CTranslate2, by its own specification of a Transformer."""

    later: ClassVar[frozenset[str]] = frozenset({"device"})
    weights: Literal[
        "float32",
        "float16",
        "bfloat16",
        "int16",
        "int8",
        "int8_float32",
        "int8_float16",
        "int8_bfloat16",
    ] = Field(
        default="float32",
        description="What weights are stored as, by CTranslate2's names: int8 and int16 matrices, a factor each row or "
        "matrix, with the rest in what is named behind; a processor that cannot compute in it has them converted",
    )
    device: Device = Field(default="cpu", description="What it is to run on, where nobody says otherwise")
