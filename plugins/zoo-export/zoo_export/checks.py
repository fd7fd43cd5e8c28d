"""What a model makes sure of as it runs: nothing in a graph, but torch's exporter must be able to say it."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch
from onnxscript import opset18

op: Any = opset18
"""Typed for scripts that are compiled, where values are of ONNX's types; here a trace calls it."""


def is_all_true(values: Any) -> Any:
    """Booleans of any shape -> one. What asks for it is left out of the graph, and this with it."""
    return op.Cast(op.ReduceMin(op.Cast(values, to=ir.DataType.INT32), keepdims=False), to=ir.DataType.BOOL)


TRANSLATIONS: dict[Any, Any] = {torch.ops.aten._is_all_true.default: is_all_true}
"""For `torch.onnx.export`, as those of `zoo_export.attention`."""
