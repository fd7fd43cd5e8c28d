"""ONNX through torch's exporter, checked with onnxruntime."""

from __future__ import annotations

import ast
import logging
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

import onnx
import torch

from zoo.errors import InputError
from zoo.export.contracts import Encoded, Exporter, Parity, RefusedError, Trial, UnfitError, Written
from zoo.export.folder import LEAN_STEP, NEXT_STEP, WHOLE, Decision
from zoo.models.modes import evaluating
from zoo_export import attention, checks
from zoo_export import detection_choices as choices
from zoo_export.box_parity import compared_boxes
from zoo_export.convolutions import CONVOLUTION, Ranges
from zoo_export.detection_precision import reduced_detector
from zoo_export.families import family_of
from zoo_export.graphs import Graph
from zoo_export.lean_steps import lean_step
from zoo_export.options import LOWEST_OPSET, OnnxOptions
from zoo_export.parity import compared
from zoo_export.precision import LAYER, PRODUCTS, reduced
from zoo_export.row_graphs import with_row_graphs
from zoo_export.storage import load_graphs, save_graphs, sizes

_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter says which modules a node comes from."""

_REFUSALS = (
    r"Could not find an implementation for (?:the node )?(?:\S+:)?([\w.]+)\(",
    r"(?:[\w.]*:)?(\w+)\(-?\d+\) is not a registered function/op",
    r"while running (\w+) node",
    r"No [Oo]p registered for (\w+)",
)
"""How onnxruntime names an operator."""


class OnnxExporter(Exporter):
    """The graphs of a model's family, and a file with the weights of all.

    Names of graphs, inputs and outputs are optimum's. Shapes are free but for the number of new tokens, which is one.
    """

    options: OnnxOptions

    def refuse(self, model: Any) -> None:
        family_of(model).refuse(model)
        if model.finds_boxes:
            choices.refuse(model, self.options)

    def for_model(self, model: Any, asked: Collection[str] = ()) -> tuple[Exporter, tuple[Decision, ...]]:
        if not model.finds_boxes:
            return self, ()
        options, decisions = choices.for_detector(model, self.options, asked)
        return OnnxExporter(options), decisions

    def calibration(self, model: Any) -> int:
        return choices.calibration(model, self.options) if model.finds_boxes else 0

    def write(self, model: Any, folder: Path, tokenizers: Any = None) -> Written:
        return self._saved(self._graphs(model), folder, _ranges(model, ()))

    def exact(self) -> Exporter | None:
        if self.options.weights == "float32":
            return None
        return OnnxExporter(OnnxOptions(opset=self.options.opset))

    def write_reduced(
        self, model: Any, exact: Path, folder: Path, tokenizers: Any = None, calibration: Encoded = ()
    ) -> Written:
        return self._saved(load_graphs(exact), folder, _ranges(model, calibration))

    def weaker(self) -> tuple[str, Any] | None:
        if self.options.weights != "float32":
            return "weights", "int8" if self.options.weights == "int4" else "float32"
        if self.options.opset > LOWEST_OPSET:
            return "opset", self.options.opset - 1
        return None

    @contextmanager
    def trials(self, model: Any, tokenizers: Any = None, calibration: Encoded = ()) -> Iterator[Trial]:
        graphs, ranges = self._graphs(model), _ranges(model, calibration)

        def trial(layers: Sequence[str], folder: Path) -> Written:
            exporter = self.keeping(layers)
            assert isinstance(exporter, OnnxExporter)
            return exporter._saved(graphs, folder, ranges)

        yield trial

    def _saved(self, graphs: Mapping[str, onnx.ModelProto], folder: Path, ranges: Ranges | None) -> Written:
        """The float32 `graphs`, which stay as they are, with the weights that options ask for, in `folder`; `ranges`
        are those of a detector."""
        changed: tuple[str, ...] = ()
        if self.options.weights != "float32" and ranges is not None:
            graph, changed = reduced_detector(graphs[WHOLE], self.options, ranges)
            graphs = {WHOLE: graph}
        elif self.options.weights != "float32":
            graphs, changed = reduced(graphs, self.options)
        if self.options.device == "cuda":
            graphs = with_row_graphs(dict(graphs))
        save_graphs(graphs, folder)
        libraries = ["torch", "onnx", "onnxscript", *(["onnxruntime"] if changed else [])]
        return Written(
            sizes=sizes(folder),
            opset=self.options.opset,
            weights=self.options.weights,
            versions={name: metadata.version(name) for name in libraries},
            changed=changed,
            device=self.options.device,
        )

    def _graphs(self, model: Any) -> dict[str, onnx.ModelProto]:
        """The graphs of a model, in float32, by the names of their files."""
        with evaluating(model), _quiet():
            try:
                graphs = {graph.file: self._graph(graph) for graph in family_of(model).graphs(model)}
            except torch.onnx.OnnxExporterError as error:
                what = model.section.detector.id if model.finds_boxes else model.section.architecture
                raise UnfitError(f"a model with '{what}' cannot be exported to ONNX: {_cause(error)}") from error
        lean = lean_step(graphs[NEXT_STEP]) if NEXT_STEP in graphs else None
        return graphs if lean is None else {**graphs, LEAN_STEP: lean}

    def _graph(self, graph: Graph) -> onnx.ModelProto:
        program = torch.onnx.export(
            graph.module,
            tuple(graph.inputs.values()),
            input_names=list(graph.inputs),
            output_names=graph.outputs,
            opset_version=self.options.opset,
            dynamo=True,
            custom_translation_table={**attention.TRANSLATIONS, **checks.TRANSLATIONS},
            dynamic_shapes=graph.free,
            optimize=True,
            verbose=False,
        )
        assert program is not None  # without a file to write
        _name_layers(program.model.graph)
        made: onnx.ModelProto = program.model_proto
        return made

    def parity(self, model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
        try:
            if model.finds_boxes:
                return compared_boxes(model, folder, batches, rounded=self.options.weights != "float32")
            return compared(model, folder, batches, max_new_tokens=max_new_tokens)
        except Exception as error:
            if not isinstance(error, InputError) and not type(error).__module__.startswith("onnxruntime."):
                raise
            text = " ".join(str(error).split())
            told = f"onnxruntime does not run what was written ({type(error).__name__}: {text[:300]})"
            raise RefusedError(told, refused_operator(text)) from error


def _ranges(model: Any, batches: Encoded) -> Ranges | None:
    """Those of a detector's convolutions, found on `batches` once they are needed; None of another model."""
    return Ranges(batches, model.frame_multiple) if getattr(model, "finds_boxes", False) else None


def refused_operator(text: str) -> str | None:
    """The operator that onnxruntime says it does not have, or fails to run."""
    found = next(filter(None, (re.search(pattern, text) for pattern in _REFUSALS)), None)
    return found[1] if found else None


def _cause(error: BaseException) -> str:
    """What is at the bottom of an error of torch's exporter, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _name_layers(graph: Any) -> None:
    """Have products, and tables of embeddings, tell their modules in torch: ``decoder.layers.0.feedforward.up``. Take
    away what else nodes tell of where they come from: more bytes than the graph."""
    taken: Counter[str] = Counter()
    for node in graph:
        scopes = [scope for scope in ast.literal_eval(node.metadata_props.get(_SCOPES, "[]")) if scope]
        node.metadata_props.clear()
        *modules, operator = scopes or [""]
        if node.op_type == CONVOLUTION:  # torch's exporter writes some anew, without a word of where they come from
            name = node.inputs[1].name or ""
            modules = [name.removesuffix(".weight")] if name.endswith(".weight") else modules
        if not modules or not (
            node.op_type in (*PRODUCTS, CONVOLUTION) or (node.op_type == "Gather" and "embedding" in operator)
        ):
            continue
        layer = modules[-1].removeprefix("model.")
        node.metadata_props[LAYER] = layer
        node.name = f"{layer}:{taken[layer]}" if taken[layer] else layer
        taken[layer] += 1


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
