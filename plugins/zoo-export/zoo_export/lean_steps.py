"""The graph of a cached step written anew for processors: caches that have room, and memory that beams share.

What `torch.onnx` traces gives the keys and values of all tokens so far as new tensors, one token longer at each step.
Here they lie in buffers that have room for more: attention (`com.microsoft.GroupQueryAttention`, onnxruntime's own
operator) writes the new token's where they belong and reads what is there. And the keys and values of a source are
there once, however many hypotheses of it are written: the beams' queries stand side by side in one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnxscript import optimizer

from zoo.export.folder import PAST_LENGTHS, PREALLOCATED, SHARED_MEMORY, TOTAL_LENGTH
from zoo_export.precision import PAST

_CONTRIB = "com.microsoft"
_HEADS_INSIDE = [0, 2, 1, 3]
"""How ``[B, L, H, Dh]`` becomes ``[B, H, L, Dh]``, and back."""
_TURNED = [0, 1, 3, 2]
_PACKED = [2, 0, 3, 1, 4]
"""How ``[B, L, 3, H, Dh]`` becomes ``[3, B, H, L, Dh]``."""
_UNSEEN = np.float32(-1e30)
"""Added to the scores of what a mask takes away. Every source has at least one token, so that this is as good as minus
infinity, and no weight is one of nothing, which would have to be looked for."""
_RANK = 4


@dataclass(frozen=True)
class _Attention:
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


class _OtherError(Exception):
    """A graph is not what is looked for."""


def lean_step(graph: onnx.ModelProto) -> onnx.ModelProto | None:
    """The graph of a cached step written anew; None where nothing can be gained. Its weights are those of `graph`.

    What became of it stands under `PREALLOCATED` and `SHARED_MEMORY` in the graph's metadata. Attention that is not
    torch's fused one (with relative keys, for example) stays as it is, with caches that grow; memory that something
    else than attention reads (an output fusion) is there for each row.
    """
    model = ir.serde.deserialize_model(graph)
    own, memory = _Own(model), _Memory(model)
    done = [part.name for part in (own, memory) if part.rewritten()]
    if not done:
        return None
    for name in done:
        model.metadata_props[name] = "true"
    model.graph.sort()
    optimizer.remove_unused_nodes(model)
    found: onnx.ModelProto = ir.serde.serialize_model(model)
    return found


class _Part:
    """One of both kinds of attention in the graph."""

    side: str
    name: str
    """Under which the graph says what was done."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.graph = model.graph
        self.inputs = {str(value.name): value for value in self.graph.inputs}
        self._made = 0

    def rewritten(self) -> bool:
        """Whether the graph was, which else stays as it was."""
        try:
            found = self.found()
        except _OtherError:
            return False
        self.rewrite(found)
        return bool(found)

    def found(self) -> list[_Attention]:
        """The attention of each layer. Raises _OtherError where one is another."""
        raise NotImplementedError

    def rewrite(self, found: list[_Attention]) -> None:
        raise NotImplementedError

    def pasts(self) -> list[tuple[ir.Value, ir.Value]]:
        """Keys and values of each layer, as they go into the graph."""
        layers = sum(name.startswith(PAST) and name.endswith(f".{self.side}.key") for name in self.inputs)
        names = [f"{PAST}{layer}.{self.side}." for layer in range(layers)]
        return [(self.inputs[f"{name}key"], self.inputs[f"{name}value"]) for name in names]

    def node(
        self, operator: str, inputs: Sequence[ir.Value | None], domain: str = "", outputs: int = 1, **attributes: Any
    ) -> Sequence[ir.Value]:
        """What a new node gives."""
        name = f"{self.name}.{operator}.{self._made}"
        self._made += 1
        values = [ir.Value(name=f"{name}.{place}") for place in range(outputs)]
        self.graph.append(ir.node(operator, inputs, attributes, domain=domain, outputs=values, name=name))
        return values

    def constant(self, value: NDArray[Any]) -> ir.Value:
        name = f"{self.name}.constant.{self._made}"
        self._made += 1
        made = ir.Value(name=name, const_value=ir.tensor(value, name=name))
        self.graph.register_initializer(made)
        return made

    def shaped(self, value: ir.Value, *sizes: int) -> ir.Value:
        """0 is the size that is there."""
        return self.node("Reshape", [value, self.constant(np.array(sizes, np.int64))])[0]


class _Own(_Part):
    """Attention to the target so far: its cache has room."""

    side, name = "decoder", PREALLOCATED

    def found(self) -> list[_Attention]:
        found = []
        for keys, values in self.pasts():
            longer = [_only(_uses(past, "Concat")) for past in (keys, values)]
            for past, node in zip((keys, values), longer, strict=True):
                _require(node.inputs[0] is past and len(node.inputs) == 2)
                _require(all(use is node or _is_length(use) for use in _uses(past)))
            attention = _attention(*(node.outputs[0] for node in longer))
            _require(
                attention.bias is None or (attention.bias.shape is not None and len(attention.bias.shape) == _RANK)
            )
            for node, reader in zip(longer, (attention.keys, attention.product), strict=True):
                _require(all(use is reader or _is_length(use) for use in _uses(node.outputs[0])))
            found.append(attention)
        return found

    def rewrite(self, found: list[_Attention]) -> None:
        lengths = ir.Value(name=PAST_LENGTHS, shape=ir.Shape(["rows"]), type=ir.TensorType(ir.DataType.INT32))
        total = ir.Value(name=TOTAL_LENGTH, shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT32))
        self.graph.inputs.extend((lengths, total))
        (whole,) = self.node("Cast", [total], to=ir.DataType.INT64)
        now = self.shaped(whole, 1)  # [1]
        (before,) = self.node("Sub", [now, self.constant(np.array([1], np.int64))])
        for (keys, values), attention in zip(self.pasts(), found, strict=True):
            _, heads, _, width = _sizes(keys)
            longer = [_only(_uses(past, "Concat")) for past in (keys, values)]
            key, value = (cast("ir.Value", node.inputs[1]) for node in longer)
            inputs = [*self._new_tokens(attention.query, key, value, heads * width), keys, values, lengths, total]
            if attention.bias is not None:
                inputs += [None, None, None, attention.bias]
            out, *present = self.node(
                "GroupQueryAttention",
                inputs,
                domain=_CONTRIB,
                outputs=3,
                num_heads=heads,
                kv_num_heads=heads,
                scale=attention.scale,
            )
            self.model.graph.opset_imports[_CONTRIB] = 1
            for past, node, longer_one in zip((keys, values), longer, present, strict=True):
                old = node.outputs[0]
                for use in _uses(past, "Shape"):
                    use.outputs[0].replace_all_uses_with(before)
                for use in _uses(old, "Shape"):
                    use.outputs[0].replace_all_uses_with(now)
                place = [item is old for item in self.graph.outputs].index(True)
                longer_one.name, old.name = old.name, f"{old.name}.grown"
                longer_one.shape, longer_one.type = past.shape, past.type
                self.graph.outputs[place] = longer_one
            merged = _merged_heads(attention.product.outputs[0])
            if merged is None:
                merged, out = attention.product.outputs[0], self.shaped(out, 0, heads, 1, width)
            merged.replace_all_uses_with(out)

    def _new_tokens(self, query: ir.Value, key: ir.Value, value: ir.Value, width: int) -> list[ir.Value | None]:
        """Query, key and value of the new token ``[R, 1, D]``; the first with all, ``[R, 1, 3 D]``, where they are
        computed together."""
        packed = [_third(item, place) for place, item in enumerate((query, key, value))]
        if packed[0] is not None and all(item is packed[0] for item in packed):
            return [packed[0], None, None]
        return [_before_heads(item) or self.shaped(item, 0, 1, width) for item in (query, key, value)]


class _Memory(_Part):
    """Attention to a source: beams share its keys and values."""

    side, name = "encoder", SHARED_MEMORY

    def found(self) -> list[_Attention]:
        found = [_attention(*past) for past in self.pasts()]
        self._check(found)
        return found

    def _check(self, found: list[_Attention]) -> None:
        """Raise _OtherError where anything of a source goes elsewhere than into attention."""
        into = {(id(item.keys), 0) for item in found} | {(id(item.product), 1) for item in found}
        into |= {
            (id(item.adding), place)
            for item in found
            if item.adding is not None
            for place, value in enumerate(item.adding.inputs)
            if value is item.bias
        }
        of_row = {"input_ids", "attention_mask", PAST_LENGTHS, TOTAL_LENGTH}
        waiting = [value for name, value in self.inputs.items() if name not in of_row and not name.startswith(PAST)] + [
            value for past in self.pasts() for value in past
        ]
        reached = {id(value) for value in waiting}
        while waiting:
            value = waiting.pop()
            _require(not value.is_graph_output())
            for use in value.uses():
                if (id(use.node), use.idx) in into or _is_length(use.node):
                    continue
                for other in use.node.inputs:
                    _require(other is None or id(other) in reached or _value(other) is not None)
                for made in use.node.outputs:
                    if id(made) not in reached:
                        reached.add(id(made))
                        waiting.append(made)

    def rewrite(self, found: list[_Attention]) -> None:
        if not found:
            return
        (sources,) = self.node("Shape", [self.pasts()[0][0]], start=0, end=1)  # [1]
        groups: dict[tuple[int, int], ir.Value] = {}
        seen: dict[int, ir.Value] = {}
        for (keys, _), attention in zip(self.pasts(), found, strict=True):
            _, heads, _, width = _sizes(keys)
            if (heads, width) not in groups:
                rest = self.constant(np.array([-1, heads, width], np.int64))
                groups[heads, width] = self.node("Concat", [sources, rest], axis=0)[0]
            query = _before_heads(attention.query) or attention.query
            (query,) = self.node("Reshape", [query, groups[heads, width]])  # [B, K, H, Dh]
            (query,) = self.node("Transpose", [query], perm=_HEADS_INSIDE)  # [B, H, K, Dh]
            scoring = _only(_uses(attention.keys.outputs[0]))
            scoring.replace_input_with(0, query)
            self._unguarded(attention, seen)
            out = attention.product.outputs[0]
            merged = _merged_heads(out)
            (turned,) = self.node("Transpose", [out], perm=_HEADS_INSIDE)  # [B, K, H, Dh]
            if merged is None:
                uses = [use for use in out.uses() if use.node is not turned.producer()]
                rows = self.shaped(turned, -1, heads, 1, width)
                for use in uses:
                    use.node.replace_input_with(use.idx, rows)
            else:
                merged.replace_all_uses_with(self.shaped(turned, -1, 1, heads * width))

    def _unguarded(self, attention: _Attention, seen: dict[int, ir.Value]) -> None:
        """Weights as the softmax gives them, of scores that a mask makes low, not minus infinity."""
        made_by = attention.bias.producer() if attention.bias is not None else None
        if not attention.guarded or made_by is None or made_by.op_type != "Where":
            return
        if id(made_by) not in seen:
            chosen, kept, taken = (cast("ir.Value", value) for value in made_by.inputs)
            lowest = _value(taken)
            if lowest is None or lowest.size != 1 or not np.isneginf(lowest).all():
                return
            seen[id(made_by)] = self.node("Where", [chosen, kept, self.constant(np.array(_UNSEEN))])[0]
        assert attention.adding is not None
        assert attention.bias is not None
        place = [value is attention.bias for value in attention.adding.inputs].index(True)
        attention.adding.replace_input_with(place, seen[id(made_by)])
        attention.product.replace_input_with(0, attention.weights)


def _attention(keys: ir.Value, values: ir.Value) -> _Attention:
    """What attends to `keys` and `values`. Raises _OtherError where it is not written as expected."""
    turning = _only([node for node in _uses(keys) if not _is_length(node)], "Transpose")
    _require(_perm(turning) == _TURNED)
    node = _only(_uses(turning.outputs[0]), "MatMul")
    query, other = node.inputs
    _require(query is not None and other is turning.outputs[0])
    scale, bias, adding = 1.0, None, None
    flow = node.outputs[0]
    node = _only(_uses(flow))
    if node.op_type == "Mul":
        (factor,) = [_value(value) for value in node.inputs if value is not flow]
        if factor is None or factor.size != 1:
            raise _OtherError
        scale, flow = float(factor.item()), node.outputs[0]
        node = _only(_uses(flow))
    if node.op_type == "Add":
        (bias,) = [value for value in node.inputs if value is not flow]
        adding, flow = node, node.outputs[0]
        node = _only(_uses(flow), "Softmax")
    _require(node.op_type == "Softmax" and _number(node, "axis", -1) in {-1, _RANK - 1})
    weights = node.outputs[0]
    following = _uses(weights)
    guarded = {item.op_type for item in following} == {"IsNaN", "Where"}
    if guarded:
        (where,) = [item for item in following if item.op_type == "Where"]
        following = _uses(where.outputs[0])
    product = _only(following, "MatMul")
    _require(product.inputs[1] is values)
    return _Attention(cast("ir.Value", query), scale, bias, adding, turning, weights, guarded, product)


def _require(truth: bool) -> None:
    if not truth:
        raise _OtherError


def _uses(value: ir.Value, operator: str | None = None) -> list[ir.Node]:
    """The nodes that take `value`, each once; those of one operator."""
    nodes = {id(use.node): use.node for use in value.uses()}
    return [node for node in nodes.values() if operator is None or node.op_type == operator]


def _only(nodes: Sequence[ir.Node], operator: str | None = None) -> ir.Node:
    _require(len(nodes) == 1 and (operator is None or nodes[0].op_type == operator))
    return nodes[0]


def _number(node: ir.Node, name: str, otherwise: int) -> int:
    found = node.attributes.get(name)
    return otherwise if found is None else found.as_int()


def _perm(node: ir.Node) -> list[int]:
    return list(node.attributes["perm"].as_ints()) if "perm" in node.attributes else []


def _is_length(node: ir.Node) -> bool:
    """Whether a node asks for how many tokens keys or values ``[R, H, T, Dh]`` are of."""
    return node.op_type == "Shape" and (_number(node, "start", 0), _number(node, "end", 0)) == (2, 3)


def _value(value: ir.Value | None) -> NDArray[Any] | None:
    """Of a constant."""
    found = None if value is None else ir.convenience.get_const_tensor(value)
    return None if found is None else found.numpy()


def _sizes(value: ir.Value) -> list[int]:
    """Of keys or values ``[R, H, T, Dh]``; 0 for what is free."""
    assert value.shape is not None
    return [size if isinstance(size, int) else 0 for size in value.shape]


def _has_rank(value: ir.Value | None, rank: int) -> bool:
    return value is not None and value.shape is not None and len(value.shape) == rank


def _before_heads(value: ir.Value) -> ir.Value | None:
    """``[R, 1, D]`` where ``[R, H, 1, Dh]`` is that and no more, cut into heads."""
    turning = value.producer()
    if turning is None or turning.op_type != "Transpose" or _perm(turning) != _HEADS_INSIDE:
        return None
    cutting = cast("ir.Value", turning.inputs[0]).producer()
    if cutting is None or cutting.op_type != "Reshape" or not _has_rank(cutting.inputs[0], 3):
        return None
    return cutting.inputs[0]


def _third(value: ir.Value, place: int) -> ir.Value | None:
    """``[R, 1, 3 D]`` where ``[R, H, 1, Dh]`` is one of its thirds and no more, cut into heads."""
    squeezing = value.producer()
    if squeezing is None or squeezing.op_type != "Squeeze":
        return None
    slicing = cast("ir.Value", squeezing.inputs[0]).producer()
    if slicing is None or slicing.op_type != "Slice" or len(slicing.inputs) < 4:
        return None
    where = [_value(item) for item in (*squeezing.inputs[1:2], *slicing.inputs[1:4])]
    if [None if item is None else item.tolist() for item in where] != [[0], [place], [place + 1], [0]]:
        return None
    turning = cast("ir.Value", slicing.inputs[0]).producer()
    if turning is None or turning.op_type != "Transpose" or _perm(turning) != _PACKED:
        return None
    cutting = cast("ir.Value", turning.inputs[0]).producer()
    if cutting is None or cutting.op_type != "Reshape" or not _has_rank(cutting.inputs[0], 3):
        return None
    return cutting.inputs[0]


def _merged_heads(value: ir.Value) -> ir.Value | None:
    """``[R, 1, D]`` that is made of ``[R, H, 1, Dh]``, where nothing else is."""
    following = _uses(value)
    if len(following) != 1 or following[0].op_type != "Transpose" or _perm(following[0]) != _HEADS_INSIDE:
        return None
    following = _uses(following[0].outputs[0])
    if len(following) != 1 or following[0].op_type != "Reshape" or not _has_rank(following[0].outputs[0], 3):
        return None
    return following[0].outputs[0]
