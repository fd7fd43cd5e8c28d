"""Graphs that take rows of what a decoder holds from step to step, for devices whose memory the host does not reach."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from zoo.export.folder import KEEP, NEXT_STEP, REORDER, ROWS, SIDES

_OWN = f".{SIDES[0]}."
"""In the names of the target's keys and values."""
_PAST = "past_key_values."


def row_graphs(step: onnx.ModelProto) -> dict[str, onnx.ModelProto]:
    """Of a step's graph those of `KEEP` and `REORDER`, by the names of their files: for each input ``name`` of the step
    ``[B, ...]`` but its token an output ``rows.name`` ``[R, ...]``, whose row r is row ``rows[r]``."""
    held = [item for item in step.graph.input if item.name != "input_ids"]
    past = [item for item in held if item.name.startswith(_PAST) and _OWN in item.name]
    return {KEEP: _graph(held, step), REORDER: _graph(past, step)}


def with_row_graphs(graphs: dict[str, onnx.ModelProto]) -> dict[str, onnx.ModelProto]:
    """The graphs of a model, and those that take rows of what its steps hold: none of a model without steps."""
    return {**graphs, **row_graphs(graphs[NEXT_STEP])} if NEXT_STEP in graphs else graphs


def _graph(inputs: Sequence[onnx.ValueInfoProto], step: onnx.ModelProto) -> onnx.ModelProto:
    nodes, outputs = [], []
    for item in inputs:
        name = f"{ROWS}.{item.name}"
        nodes.append(helper.make_node("Gather", [item.name, ROWS], [name], name, axis=0))
        made = onnx.ValueInfoProto()
        made.CopyFrom(item)
        made.name = name
        made.type.tensor_type.shape.dim[0].Clear()
        made.type.tensor_type.shape.dim[0].dim_param = "kept"
        outputs.append(made)
    rows = helper.make_tensor_value_info(ROWS, TensorProto.INT64, ["kept"])
    graph = helper.make_graph(nodes, "rows", [rows, *inputs], outputs)
    return helper.make_model(graph, opset_imports=step.opset_import, ir_version=step.ir_version)
