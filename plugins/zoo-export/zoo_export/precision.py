"""Graphs whose weights are float32, written anew with fewer bits, by onnxruntime's own tools where it has them."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper
from onnxscript import optimizer

from zoo.errors import InputError, did_you_mean
from zoo.export.folder import STATES
from zoo_export.options import OnnxOptions

_ANY_SIZE = 2**40
_MATRIX = 2
"""Axes of a weight: what has fewer is a bias or a scale, and no layer."""
LAYER = "zoo.layer"
"""Under which a node says what module it computes."""
PRODUCTS = ("MatMul", "Gemm")
PLACES_OF_WEIGHTS = {**dict.fromkeys(PRODUCTS, 1), "Gather": 0}
"""Operators with layers' weights, and which input these are."""
PAST, PRESENT = "past_key_values.", "present."
"""What the names of caches begin with where they go into a graph, and where they come out."""

Initializers = Mapping[str, onnx.TensorProto]


def reduced(
    graphs: Mapping[str, onnx.ModelProto], options: OnnxOptions
) -> tuple[dict[str, onnx.ModelProto], tuple[str, ...]]:
    """The graphs with the weights that `options` ask for, and the names of the layers that changed.

    Raises InputError where a layer to be kept is not there.
    """
    of_weights = {name: folded(graph) for name, graph in graphs.items()}
    layers = sorted({layer_of(node) for graph in of_weights.values() for node in layer_nodes(graph)})
    kept = kept_layers(layers, options)
    handed = _handed_on(of_weights.values())
    found = {}
    for name, graph in of_weights.items():
        if options.weights == "float16":
            found[name] = in_16_bits(graph, kept, handed)
        elif options.weights == "int8":
            found[name] = products_of_8_bits(graph, kept, options)
        else:
            found[name] = products_of_4_bits(graph, kept, options)
    return found, tuple(layer for layer in layers if layer not in kept)


def kept_layers(layers: Sequence[str], options: OnnxOptions) -> set[str]:
    """Those that `options` leave in float32. Raises InputError where they name one that is not there."""
    for pattern in options.keep_float32:
        if not any(fnmatchcase(layer, pattern) for layer in layers):
            raise InputError(f"keep_float32: no layer '{pattern}' in this model: {did_you_mean(pattern, layers)}")
    return {layer for layer in layers if any(fnmatchcase(layer, pattern) for pattern in options.keep_float32)}


def layer_of(node: onnx.NodeProto) -> str:
    """The module in torch that a node computes; empty where it is none's."""
    return next((item.value for item in node.metadata_props if item.key == LAYER), "")


def layer_nodes(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of a graph that multiply by a matrix of float32 weights, or take rows of such a table."""
    weights = of_floats(graph)
    found = []
    for node in graph.graph.node:
        if layer_of(node) and node.op_type in PLACES_OF_WEIGHTS:
            weight = weights.get(node.input[PLACES_OF_WEIGHTS[node.op_type]])
            if weight is not None and len(weight.dims) == _MATRIX:
                found.append(node)
    return found


def float_products(graph: onnx.ModelProto) -> list[str]:
    """Products of a graph with a matrix of float32 weights, by the names of their nodes."""
    weights = {name for name, item in of_floats(graph).items() if len(item.dims) == _MATRIX}
    return [node.name for node in graph.graph.node if node.op_type in PRODUCTS and weights.intersection(node.input)]


def of_floats(graph: onnx.ModelProto) -> Initializers:
    """The float32 tensors that a graph has of itself."""
    return {item.name: item for item in graph.graph.initializer if item.data_type == onnx.TensorProto.FLOAT}


def folded(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with all that it computes from weights alone computed: a tied projection is written as the transpose of
    a table, and what is no weight is not made smaller."""
    model = ir.serde.deserialize_model(graph)
    optimizer.fold_constants(model, input_size_limit=_ANY_SIZE, output_size_limit=_ANY_SIZE)
    optimizer.remove_unused_nodes(model)
    found: onnx.ModelProto = ir.serde.serialize_model(model)
    found.graph.ClearField("value_info")  # types of what is about to have others
    return found


def products_of_8_bits(graph: onnx.ModelProto, kept: set[str], options: OnnxOptions) -> onnx.ModelProto:
    """Products of 8 bits: weights once, activations as they come."""
    _tables_of_8_bits(graph, kept)
    chosen = [node.name for node in layer_nodes(graph) if layer_of(node) not in kept]
    if not chosen:
        return graph
    with tempfile.TemporaryDirectory() as folder, as_it_was():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        path = Path(folder) / "graph.onnx"
        quantize_dynamic(
            graph,
            path,
            op_types_to_quantize=list(PRODUCTS),
            nodes_to_quantize=chosen,
            per_channel=options.per_channel,
            reduce_range=options.reduced_range,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # behind operators of onnxruntime's own
        )
        return onnx.load(path)


def products_of_4_bits(graph: onnx.ModelProto, kept: set[str], options: OnnxOptions) -> onnx.ModelProto:
    """Products with weights of 4 bits, by blocks; activations are rounded to 8 bits, block by block and row by row."""
    with as_it_was():
        from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

        _tables_of_8_bits(graph, kept)
        chosen = DefaultWeightOnlyQuantConfig(block_size=options.block_size, is_symmetric=True, accuracy_level=4)
        quantizer = MatMulNBitsQuantizer(graph, nodes_to_exclude=_nodes_of(graph, kept), algo_config=chosen)
        quantizer.process()
        found: onnx.ModelProto = quantizer.model.model
        return found


def _handed_on(graphs: Iterable[onnx.ModelProto]) -> set[str]:
    """What one graph gives and another takes."""
    made, taken = set(), set()
    for graph in graphs:
        made |= {item.name for item in graph.graph.output}
        taken |= {item.name for item in graph.graph.input}
    taken |= {name.replace(PAST, PRESENT) for name in taken}
    both = (made & taken) | {STATES, "last_hidden_state"} if STATES in taken else made & taken
    return both | {name.replace(PRESENT, PAST) for name in both}


_FLOAT32_ALONE = ("ScatterElements",)
"""Operators that onnxruntime's processors have in float32 alone: sums of what falls together, in CTC heads."""


def in_16_bits(graph: onnx.ModelProto, kept: set[str], handed: set[str], exact: Sequence[str] = ()) -> onnx.ModelProto:
    """Weights, activations, and what is `handed` from graph to graph, of half the size; what the caller gives and gets
    stays float32.

    What is computed from positions and masks alone stays float32: an angle of a few hundred has no digits left behind
    its point in float16. So do the nodes that are `exact`, by their names.
    """
    with as_it_was():
        from onnxruntime.transformers.float16 import convert_float_to_float16

        ends = [item.name for item in (*graph.graph.input, *graph.graph.output) if item.name not in handed]
        whole = [node.name for node in graph.graph.node if node.op_type in _FLOAT32_ALONE]
        found: onnx.ModelProto = convert_float_to_float16(
            graph,
            keep_io_types=ends,
            node_block_list=[*_nodes_of(graph, kept), *whole, *exact, *_without_activations(graph)],
        )
        return found


def _tables_of_8_bits(graph: onnx.ModelProto, kept: set[str]) -> None:
    """Tables ``[V, D]`` that rows are taken from: each row as 8 bits and a scale, which it is multiplied by once it has
    been taken."""
    weights = of_floats(graph)
    made: set[str] = set()
    for node in layer_nodes(graph):
        if node.op_type != "Gather" or layer_of(node) in kept:
            continue
        table, indices = node.input
        names = [f"{table}_{what}" for what in ("int8", "scale")]
        if table not in made:
            made.add(table)
            values = numpy_helper.to_array(weights[table])  # [V, D]
            scale = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)  # [V, 1]
            scale[scale == 0] = 1
            whole = np.rint(values / scale).astype(np.int8)
            for name, value in zip(names, (whole, scale.astype(np.float32)), strict=True):
                graph.graph.initializer.append(numpy_helper.from_array(value, name))
        out, name = node.output[0], node.name
        taken, floats, scales = (f"{out}_{what}" for what in ("int8", "whole", "scale"))
        made_of = [
            helper.make_node("Gather", [names[0], indices], [taken], f"{name}_int8", axis=0),
            helper.make_node("Cast", [taken], [floats], f"{name}_float", to=onnx.TensorProto.FLOAT),
            helper.make_node("Gather", [names[1], indices], [scales], f"{name}_scale", axis=0),
            helper.make_node("Mul", [floats, scales], [out], f"{name}_scaled"),
        ]
        place = list(graph.graph.node).index(node)
        graph.graph.node.remove(node)
        for offset, part in enumerate(made_of):
            graph.graph.node.insert(place + offset, part)
    used = {name for node in graph.graph.node for name in node.input}
    for item in list(graph.graph.initializer):
        if item.name not in used:
            graph.graph.initializer.remove(item)


def _nodes_of(graph: onnx.ModelProto, layers: set[str]) -> list[str]:
    return [node.name for node in graph.graph.node if layer_of(node) in layers]


def _without_activations(graph: onnx.ModelProto) -> list[str]:
    """The nodes that neither a row of a table, nor a weight, nor an input of floats goes into but by its shape."""
    matrices = {name for name, item in of_floats(graph).items() if len(item.dims) >= _MATRIX}
    alive = matrices | {
        item.name for item in graph.graph.input if item.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    found = []
    for node in graph.graph.node:
        if node.op_type not in {"Shape", "Size"} and alive.intersection(node.input):
            alive.update(node.output)
        else:
            found.append(node.name)
    return found


@contextmanager
def as_it_was() -> Iterator[None]:
    """onnxruntime's tools set up logging, tell of every node, and look for their own modules in a folder that the first
    import of them adds for good."""
    import onnxruntime

    root, path = logging.getLogger(), list(sys.path)
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    sys.path.append(str(Path(onnxruntime.__file__).parent / "transformers"))
    try:
        yield
    finally:
        logging.disable(disabled)
        root.handlers[:], sys.path[:] = handlers, path
        root.setLevel(level)
