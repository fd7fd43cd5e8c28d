"""Convolutions of 8 bits, by ranges of what goes into them that are found beforehand, on images.

onnxruntime has two kinds. `ConvInteger`, whose ranges are found as numbers come, takes about three times as long as
float32. `QLinearConv`, which is given them, takes about a third as long, with activations of unsigned and weights of
signed 8 bits; with both signed it gains little on x86.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor

from zoo.images.framing import FRAMES
from zoo_export.options import OnnxOptions
from zoo_export.precision import as_it_was, layer_of, of_floats

CONVOLUTION = "Conv"


def convolutions(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of a graph that convolve with float32 weights of a layer."""
    weights = of_floats(graph)
    return [
        node for node in graph.graph.node if node.op_type == CONVOLUTION and layer_of(node) and node.input[1] in weights
    ]


class Ranges:
    """The least and largest number that goes into each convolution of a graph, and comes out, over batches of images.

    Looked for when they are first asked for, and kept: graphs that differ in which layers are changed have the same.
    """

    def __init__(self, batches: Sequence[Mapping[str, Tensor]], multiple: int) -> None:
        """`batches` are what a detector takes, whose graph has images of whole multiples of so many pixels."""
        self._batches = batches
        self._multiple = multiple
        self._found: Any = None

    def of(self, graph: onnx.ModelProto) -> Any:
        """What onnxruntime's quantizer takes, by the names of tensors. `graph` has the types of what it computes."""
        if self._found is None:
            self._found = self._looked_for(graph)
        return self._found

    def _looked_for(self, graph: onnx.ModelProto) -> Any:
        from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            def __init__(self, feeds: Iterator[dict[str, Any]]) -> None:
                self._feeds = feeds

            def get_next(self) -> dict[str, Any] | None:
                return next(self._feeds, None)

        with tempfile.TemporaryDirectory() as name:
            plain, watched = Path(name) / "graph.onnx", Path(name) / "watched.onnx"
            onnx.save(graph, plain)
            calibrator = create_calibrator(
                plain, [CONVOLUTION], str(watched), calibrate_method=CalibrationMethod.MinMax
            )
            calibrator.collect_data(Reader(self._feeds()))
            return calibrator.compute_data()

    def _feeds(self) -> Iterator[dict[str, Any]]:
        for place in range(len(self._batches)):
            batch = self._batches[place]
            yield {name: padded(batch[name], self._multiple).numpy() for name in FRAMES}


def padded(images: Tensor, multiple: int) -> Tensor:
    """``[..., H, W]`` with zeros at the bottom and on the right."""
    height, width = images.shape[-2:]
    return torch.nn.functional.pad(images, (0, -width % multiple, 0, -height % multiple))


def of_8_bits(graph: onnx.ModelProto, chosen: Sequence[str], ranges: Ranges, options: OnnxOptions) -> onnx.ModelProto:
    """The graph with the convolutions that are `chosen`, by the names of their nodes, in 8 bits: what goes in, what
    comes out and weights. Written as float32 between quantizing and its contrary, which onnxruntime makes one."""
    if not chosen:
        return graph
    with as_it_was():
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        typed = onnx.shape_inference.infer_shapes(graph)
        quantizer = QDQQuantizer(
            typed,
            options.per_channel,
            options.reduced_range,
            QuantType.QInt8,
            QuantType.QUInt8,
            ranges.of(typed),
            list(chosen),
            [],
            [CONVOLUTION],
            {},
        )
        quantizer.quantize_model()
        found: onnx.ModelProto = quantizer.model.model
        found.graph.ClearField("value_info")
        return found
