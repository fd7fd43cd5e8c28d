"""Options of the exporters."""

from __future__ import annotations

from pydantic import Field

from zoo.spec.options import Options


class OnnxOptions(Options):
    """ONNX by torch's own exporter."""

    opset: int = Field(
        default=18,
        ge=18,
        le=23,
        description="Version of the operators. 18 is what torch's exporter writes itself and onnxruntime reads from "
        "1.14; 23 has attention as one operator, and wants onnxruntime 1.23",
    )
