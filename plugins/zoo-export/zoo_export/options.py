"""Options of the exporters."""

from __future__ import annotations

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
