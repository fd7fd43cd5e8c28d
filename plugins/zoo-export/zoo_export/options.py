"""Options of the exporters."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.spec.options import Options


class OnnxOptions(Options):
    """ONNX by torch's own exporter."""

    opset: int = Field(
        default=18,
        ge=18,
        le=22,
        description="Version of the operators. 18 is what torch's exporter writes, for onnxruntime from 1.14. "
        "23 writes attention as one operator, which onnxruntime 1.32 refuses where all queries share a mask",
    )


class Ctranslate2Options(Options):
    """CTranslate2, by its own specification of a Transformer."""

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
