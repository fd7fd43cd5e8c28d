"""ONNX through torch's exporter, checked with onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

import torch

from zoo.errors import InputError, ZooError
from zoo.export.contracts import Exporter, Parity, Written
from zoo.models.modes import evaluating
from zoo_export.families import family_of
from zoo_export.graphs import Graph
from zoo_export.options import OnnxOptions
from zoo_export.parity import compared

class OnnxExporter(Exporter):
    """The graphs of a model's family, each with its weights in a file beside it.

    Names of graphs, inputs and outputs are optimum's. Shapes are free but for the number of new tokens, which is one.
    """

    options: OnnxOptions

    def refuse(self, model: Any) -> None:
        family_of(model).refuse(model)

    def write(self, model: Any, folder: Path) -> Written:
        with evaluating(model), _quiet():
            for graph in family_of(model).graphs(model):
                self._write(graph, folder)
        return Written(
            sizes={file.name: file.stat().st_size for file in sorted(folder.iterdir())},
            opset=self.options.opset,
            versions={name: metadata.version(name) for name in ("torch", "onnx", "onnxscript")},
        )

    def _write(self, graph: Graph, folder: Path) -> None:
        program = torch.onnx.export(
            graph.module,
            tuple(graph.inputs.values()),
            input_names=list(graph.inputs),
            output_names=graph.outputs,
            opset_version=self.options.opset,
            dynamo=True,
            dynamic_shapes=graph.free,
            optimize=True,
            verbose=False,
        )
        assert program is not None  # without a file to write
        for node in program.model.graph:
            node.metadata_props.clear()  # where in the source it comes from: more bytes than the graph
        program.save(str(folder / graph.file), external_data=True)

    def parity(self, model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
        try:
            return compared(model, folder, batches, max_new_tokens=max_new_tokens)
        except Exception as error:
            if not isinstance(error, InputError) and not type(error).__module__.startswith("onnxruntime."):
                raise
            text = " ".join(str(error).split())[:300]
            raise ZooError(f"onnxruntime does not run what was written ({type(error).__name__}: {text})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """What torch's exporter tells of itself is for those who mend it."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
