"""The graph of a cached step written anew for processors: caches that have room, and memory that beams share.

What `torch.onnx` traces gives the keys and values of all tokens so far as new tensors, one token longer at each step.
Here they lie in buffers that have room for more: attention (`com.microsoft.GroupQueryAttention`, onnxruntime's own
operator) writes the new token's where they belong and reads what is there. And the keys and values of a source are
there once, however many hypotheses of it are written: the beams' queries stand side by side in one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnxscript import optimizer

from zoo.export.folder import PAST_LENGTHS, PREALLOCATED, SHARED_MEMORY, TOTAL_LENGTH
from zoo_export.attention_patterns import (
    HEADS_INSIDE,
    RANK,
    Attention,
    OtherError,
    attention_to,
    before_heads,
    is_length,
    merged_heads,
    only,
    require,
    sizes,
    third_of,
    uses,
    value_of,
)
from zoo_export.precision import PAST

_CONTRIB = "com.microsoft"
_WIDTH = 8
"""onnxruntime's operator takes heads of so many numbers, or a whole multiple."""
_UNSEEN = np.float32(-1e30)
"""Added to the scores of what a mask takes away. Every source has at least one token, so that this is as good as minus
infinity, and no weight is one of nothing, which would have to be looked for."""


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
        except OtherError:
            return False
        self.rewrite(found)
        return bool(found)

    def found(self) -> list[Attention]:
        """The attention of each layer. Raises OtherError where one is another."""
        raise NotImplementedError

    def rewrite(self, found: list[Attention]) -> None:
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

    def found(self) -> list[Attention]:
        found = []
        for keys, values in self.pasts():
            require(sizes(keys)[-1] % _WIDTH == 0)
            longer = self._longer(keys, values)
            for past, node in zip((keys, values), longer, strict=True):
                require(node.inputs[0] is past and len(node.inputs) == 2)
                require(all(use is node or is_length(use) for use in uses(past)))
            attention = attention_to(*(node.outputs[0] for node in longer))
            require(attention.bias is None or (attention.bias.shape is not None and len(attention.bias.shape) == RANK))
            for node, reader in zip(longer, (attention.keys, attention.product), strict=True):
                require(all(use is reader or is_length(use) for use in uses(node.outputs[0])))
            found.append(attention)
        return found

    def rewrite(self, found: list[Attention]) -> None:
        lengths = ir.Value(name=PAST_LENGTHS, shape=ir.Shape(["rows"]), type=ir.TensorType(ir.DataType.INT32))
        total = ir.Value(name=TOTAL_LENGTH, shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT32))
        self.graph.inputs.extend((lengths, total))
        (whole,) = self.node("Cast", [total], to=ir.DataType.INT64)
        now = self.shaped(whole, 1)  # [1]
        (before,) = self.node("Sub", [now, self.constant(np.array([1], np.int64))])
        for (keys, values), attention in zip(self.pasts(), found, strict=True):
            _, heads, _, width = sizes(keys)
            longer = self._longer(keys, values)
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
                for use in uses(past, "Shape"):
                    use.outputs[0].replace_all_uses_with(before)
                for use in uses(old, "Shape"):
                    use.outputs[0].replace_all_uses_with(now)
                place = [item is old for item in self.graph.outputs].index(True)
                longer_one.name, old.name = old.name, f"{old.name}.grown"
                longer_one.shape, longer_one.type = past.shape, past.type
                self.graph.outputs[place] = longer_one
            merged = merged_heads(attention.product.outputs[0])
            if merged is None:
                merged, out = attention.product.outputs[0], self.shaped(out, 0, heads, 1, width)
            merged.replace_all_uses_with(out)

    def _longer(self, keys: ir.Value, values: ir.Value) -> list[ir.Node]:
        """What adds the new token's to each."""
        return [only(uses(past, "Concat")) for past in (keys, values)]

    def _new_tokens(self, query: ir.Value, key: ir.Value, value: ir.Value, width: int) -> list[ir.Value | None]:
        """Query, key and value of the new token ``[R, 1, D]``; the first with all, ``[R, 1, 3 D]``, where they are
        computed together."""
        packed = [third_of(item, place) for place, item in enumerate((query, key, value))]
        if packed[0] is not None and all(item is packed[0] for item in packed):
            return [packed[0], None, None]
        return [before_heads(item) or self.shaped(item, 0, 1, width) for item in (query, key, value)]


class _Memory(_Part):
    """Attention to a source: beams share its keys and values."""

    side, name = "encoder", SHARED_MEMORY

    def found(self) -> list[Attention]:
        found = [attention_to(*past) for past in self.pasts()]
        self._check(found)
        return found

    def _check(self, found: list[Attention]) -> None:
        """Raise OtherError where anything of a source goes elsewhere than into attention."""
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
            require(not value.is_graph_output())
            for use in value.uses():
                if (id(use.node), use.idx) in into or is_length(use.node):
                    continue
                for other in use.node.inputs:
                    require(other is None or id(other) in reached or value_of(other) is not None)
                for made in use.node.outputs:
                    if id(made) not in reached:
                        reached.add(id(made))
                        waiting.append(made)

    def rewrite(self, found: list[Attention]) -> None:
        if not found:
            return
        (sources,) = self.node("Shape", [self.pasts()[0][0]], start=0, end=1)  # [1]
        groups: dict[tuple[int, int], ir.Value] = {}
        seen: dict[int, ir.Value] = {}
        for (keys, _), attention in zip(self.pasts(), found, strict=True):
            _, heads, _, width = sizes(keys)
            if (heads, width) not in groups:
                rest = self.constant(np.array([-1, heads, width], np.int64))
                groups[heads, width] = self.node("Concat", [sources, rest], axis=0)[0]
            query = before_heads(attention.query) or attention.query
            (query,) = self.node("Reshape", [query, groups[heads, width]])  # [B, K, H, Dh]
            (query,) = self.node("Transpose", [query], perm=HEADS_INSIDE)  # [B, H, K, Dh]
            scoring = only(uses(attention.keys.outputs[0]))
            scoring.replace_input_with(0, query)
            self._unguarded(attention, seen)
            out = attention.product.outputs[0]
            merged = merged_heads(out)
            (turned,) = self.node("Transpose", [out], perm=HEADS_INSIDE)  # [B, K, H, Dh]
            if merged is None:
                others = [use for use in out.uses() if use.node is not turned.producer()]
                rows = self.shaped(turned, -1, heads, 1, width)
                for use in others:
                    use.node.replace_input_with(use.idx, rows)
            else:
                merged.replace_all_uses_with(self.shaped(turned, -1, 1, heads * width))

    def _unguarded(self, attention: Attention, seen: dict[int, ir.Value]) -> None:
        """Weights as the softmax gives them, of scores that a mask makes low, not minus infinity."""
        made_by = attention.bias.producer() if attention.bias is not None else None
        if not attention.guarded or made_by is None or made_by.op_type != "Where":
            return
        if id(made_by) not in seen:
            chosen, kept, taken = (cast("ir.Value", value) for value in made_by.inputs)
            lowest = value_of(taken)
            if lowest is None or lowest.size != 1 or not np.isneginf(lowest).all():
                return
            seen[id(made_by)] = self.node("Where", [chosen, kept, self.constant(np.array(_UNSEEN))])[0]
        assert attention.adding is not None
        assert attention.bias is not None
        place = [value is attention.bias for value in attention.adding.inputs].index(True)
        attention.adding.replace_input_with(place, seen[id(made_by)])
        attention.product.replace_input_with(0, attention.weights)
