"""Attention in a graph of a cached step: finding it, and what is around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import onnx_ir as ir
from numpy.typing import NDArray

HEADS_INSIDE = [0, 2, 1, 3]
"""How ``[B, L, H, Dh]`` becomes ``[B, H, L, Dh]``, and back."""
_TURNED = [0, 1, 3, 2]
_PACKED = [2, 0, 3, 1, 4]
"""How ``[B, L, 3, H, Dh]`` becomes ``[3, B, H, L, Dh]``."""
RANK = 4


@dataclass(frozen=True)
class Attention:
    """Scaled dot-product attention as `zoo_export.attention` writes it, between what `keys` turns and `product`."""

    query: ir.Value
    """``[R, H, 1, Dh]``"""
    scale: float
    bias: ir.Value | None
    """What is added to the scores."""
    adding: ir.Node | None
    keys: ir.Node
    weights: ir.Value
    """What the softmax gives."""
    guarded: bool
    product: ir.Node
    """Gives the output ``[R, H, 1, Dh]``."""


class OtherError(Exception):
    """A graph is not what is looked for."""


def attention_to(keys: ir.Value, values: ir.Value) -> Attention:
    """What attends to `keys` and `values`. Raises OtherError where it is not written as expected."""
    turning = only([node for node in uses(keys) if not is_length(node)], "Transpose")
    require(_perm(turning) == _TURNED)
    node = only(uses(turning.outputs[0]), "MatMul")
    query, other = node.inputs
    require(query is not None and other is turning.outputs[0])
    scale, bias, adding = 1.0, None, None
    flow = node.outputs[0]
    node = only(uses(flow))
    if node.op_type == "Mul":
        (factor,) = [value_of(value) for value in node.inputs if value is not flow]
        if factor is None or factor.size != 1:
            raise OtherError
        scale, flow = float(factor.item()), node.outputs[0]
        node = only(uses(flow))
    if node.op_type == "Add":
        (bias,) = [value for value in node.inputs if value is not flow]
        adding, flow = node, node.outputs[0]
        node = only(uses(flow), "Softmax")
    require(node.op_type == "Softmax" and _number(node, "axis", -1) in {-1, RANK - 1})
    weights = node.outputs[0]
    following = uses(weights)
    guarded = {item.op_type for item in following} == {"IsNaN", "Where"}
    if guarded:
        (where,) = [item for item in following if item.op_type == "Where"]
        following = uses(where.outputs[0])
    product = only(following, "MatMul")
    require(product.inputs[1] is values)
    return Attention(cast("ir.Value", query), scale, bias, adding, turning, weights, guarded, product)


def require(truth: bool) -> None:
    if not truth:
        raise OtherError


def uses(value: ir.Value, operator: str | None = None) -> list[ir.Node]:
    """The nodes that take `value`, each once; those of one operator."""
    nodes = {id(use.node): use.node for use in value.uses()}
    return [node for node in nodes.values() if operator is None or node.op_type == operator]


def only(nodes: Sequence[ir.Node], operator: str | None = None) -> ir.Node:
    require(len(nodes) == 1 and (operator is None or nodes[0].op_type == operator))
    return nodes[0]


def _number(node: ir.Node, name: str, otherwise: int) -> int:
    found = node.attributes.get(name)
    return otherwise if found is None else found.as_int()


def _perm(node: ir.Node) -> list[int]:
    return list(node.attributes["perm"].as_ints()) if "perm" in node.attributes else []


def is_length(node: ir.Node) -> bool:
    """Whether a node asks for how many tokens keys or values ``[R, H, T, Dh]`` are of."""
    return node.op_type == "Shape" and (_number(node, "start", 0), _number(node, "end", 0)) == (2, 3)


def value_of(value: ir.Value | None) -> NDArray[Any] | None:
    """Of a constant."""
    found = None if value is None else ir.convenience.get_const_tensor(value)
    return None if found is None else found.numpy()


def sizes(value: ir.Value) -> list[int]:
    """Of keys or values ``[R, H, T, Dh]``; 0 for what is free."""
    assert value.shape is not None
    return [size if isinstance(size, int) else 0 for size in value.shape]


def _has_rank(value: ir.Value | None, rank: int) -> bool:
    return value is not None and value.shape is not None and len(value.shape) == rank


def before_heads(value: ir.Value) -> ir.Value | None:
    """``[R, 1, D]`` where ``[R, H, 1, Dh]`` is that and no more, cut into heads."""
    turning = value.producer()
    if turning is None or turning.op_type != "Transpose" or _perm(turning) != HEADS_INSIDE:
        return None
    cutting = cast("ir.Value", turning.inputs[0]).producer()
    if cutting is None or cutting.op_type != "Reshape" or not _has_rank(cutting.inputs[0], 3):
        return None
    return cutting.inputs[0]


def third_of(value: ir.Value, place: int) -> ir.Value | None:
    """``[R, 1, 3 D]`` where ``[R, H, 1, Dh]`` is one of its thirds and no more, cut into heads."""
    squeezing = value.producer()
    if squeezing is None or squeezing.op_type != "Squeeze":
        return None
    slicing = cast("ir.Value", squeezing.inputs[0]).producer()
    if slicing is None or slicing.op_type != "Slice" or len(slicing.inputs) < 4:
        return None
    where = [value_of(item) for item in (*squeezing.inputs[1:2], *slicing.inputs[1:4])]
    if [None if item is None else item.tolist() for item in where] != [[0], [place], [place + 1], [0]]:
        return None
    turning = cast("ir.Value", slicing.inputs[0]).producer()
    if turning is None or turning.op_type != "Transpose" or _perm(turning) != _PACKED:
        return None
    cutting = cast("ir.Value", turning.inputs[0]).producer()
    if cutting is None or cutting.op_type != "Reshape" or not _has_rank(cutting.inputs[0], 3):
        return None
    return cutting.inputs[0]


def merged_heads(value: ir.Value) -> ir.Value | None:
    """``[R, 1, D]`` that is made of ``[R, H, 1, Dh]``, where nothing else is."""
    following = uses(value)
    if len(following) != 1 or following[0].op_type != "Transpose" or _perm(following[0]) != HEADS_INSIDE:
        return None
    following = uses(following[0].outputs[0])
    if len(following) != 1 or following[0].op_type != "Reshape" or not _has_rank(following[0].outputs[0], 3):
        return None
    return following[0].outputs[0]
