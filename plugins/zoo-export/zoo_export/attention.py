"""Attention as few operators as onnxruntime then fuses: torch's exporter turns all keys round anew at every step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import opset18

op: Any = opset18
"""Typed for scripts that are compiled, where values are of ONNX's types; here a trace calls it."""


def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Queries ``[B, H, Lq, Dh]``, keys and values ``[B, H or fewer, L, Dh]`` -> ``[B, H, Lq, Dh]``, as
    `torch.nn.functional.scaled_dot_product_attention` in evaluation: a query that may see nothing gets zeros.

    onnxruntime takes the turning of keys and the scale into the product.
    """
    heads, width = query.shape[1], query.shape[3]
    if enable_gqa and key.shape[1] != heads:
        key, value = (_repeated(side, heads) for side in (key, value))
    factor = 1.0 / math.sqrt(width) if scale is None else scale
    scores = op.MatMul(query, op.Transpose(key, perm=[0, 1, 3, 2]))  # [B, H, Lq, L]
    scores = op.Mul(scores, op.CastLike(_constant(np.float32(factor)), query))
    if is_causal:
        attn_mask = _lower_triangle(scores)
    if attn_mask is None:
        return op.MatMul(op.Softmax(scores, axis=-1), value)
    if is_causal or attn_mask.dtype == ir.DataType.BOOL:
        lowest = op.CastLike(_constant(np.float32(-np.inf)), query)
        nothing = op.CastLike(_constant(np.float32(0.0)), query)
        attn_mask = op.Where(attn_mask, nothing, lowest)
    weights = op.Softmax(op.Add(scores, attn_mask), axis=-1)
    zero = op.CastLike(_constant(np.float32(0.0)), query)
    return op.MatMul(op.Where(op.IsNaN(weights), zero, weights), value)


TRANSLATIONS: dict[Any, Any] = {torch.ops.aten.scaled_dot_product_attention.default: scaled_dot_product_attention}
"""For `torch.onnx.export`: what it says otherwise than torch's own library of operators does."""


def _constant(value: Any) -> Any:
    return op.Constant(value=ir.tensor(value))


def _repeated(side: Any, heads: int) -> Any:
    """``[B, G, L, Dh]`` -> ``[B, H, L, Dh]``: each of the G groups serves heads that stand together."""
    groups, width = side.shape[1], side.shape[3]
    shape = np.array([1, 1, heads // groups, 1, 1], np.int64)
    wide = op.Expand(op.Unsqueeze(side, _constant(np.array([2], np.int64))), _constant(shape))  # [B, G, H / G, L, Dh]
    return op.Reshape(wide, _constant(np.array([0, heads, -1, width], np.int64)))


def _lower_triangle(scores: Any) -> Any:
    """Which keys each query may see, ``[Lq, L]``: the first its first, and so on."""
    size = op.Shape(scores, start=2)  # [2]
    ones = op.ConstantOfShape(size, value=ir.tensor(np.ones(1, np.float32)))
    return op.Cast(op.Trilu(ones, upper=0), to=ir.DataType.BOOL)
