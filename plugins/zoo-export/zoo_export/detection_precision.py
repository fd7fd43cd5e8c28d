"""A detector's graph with fewer bits: convolutions by ranges found beforehand, products as those of texts; what makes
boxes of the last layers' numbers stays in float32."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from zoo_export.convolutions import Ranges, convolutions, of_8_bits
from zoo_export.options import OnnxOptions
from zoo_export.precision import (
    folded,
    in_16_bits,
    kept_layers,
    layer_nodes,
    layer_of,
    products_of_4_bits,
    products_of_8_bits,
)


@dataclass(frozen=True)
class End:
    """What stands between the last layers of a graph and its outputs."""

    layers: frozenset[str]
    """The last layers: those whose numbers reach an output through no other layer."""
    nodes: tuple[str, ...]
    """What is computed of their numbers."""


def end_of(graph: onnx.ModelProto) -> End:
    """The end of a graph whose layers have their names, and its nodes names."""
    layers = {node.name: layer_of(node) for node in (*layer_nodes(graph), *convolutions(graph))}
    makers = {made: node for node in graph.graph.node for made in node.output}
    last, between = set(), []
    waiting = [item.name for item in graph.graph.output]
    seen: set[str] = set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.name in seen:
            continue
        seen.add(node.name)
        if node.name in layers:
            last.add(layers[node.name])
        else:
            between.append(node.name)
            waiting.extend(node.input)
    return End(frozenset(last), tuple(between))


def reduced_detector(
    graph: onnx.ModelProto, options: OnnxOptions, ranges: Ranges
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The graph with the weights that `options` ask for, and the names of the layers that changed.

    Raises InputError where a layer to be kept is not there.
    """
    graph = folded(graph)
    for number, node in enumerate(graph.graph.node):
        node.name = node.name or f"node_{number}"
    convolved = convolutions(graph)
    layers = sorted({layer_of(node) for node in (*layer_nodes(graph), *convolved)})
    kept = kept_layers(layers, options)
    end = end_of(graph)
    if options.weights == "float16":
        graph = in_16_bits(graph, kept, set(), end.nodes)
    else:
        if options.keep_last:
            kept |= end.layers
        if not options.calibration:
            kept |= {layer_of(node) for node in convolved}
        graph = of_8_bits(graph, [node.name for node in convolved if layer_of(node) not in kept], ranges, options)
        products = products_of_8_bits if options.weights == "int8" else products_of_4_bits
        graph = products(graph, kept, options)
    return graph, tuple(layer for layer in layers if layer not in kept)
