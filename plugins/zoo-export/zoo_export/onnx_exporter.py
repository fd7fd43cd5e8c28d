"""ONNX through torch's exporter, checked with onnxruntime."""

from __future__ import annotations

import ast
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from zoo.errors import InputError, ZooError
from zoo.export.contracts import Exporter, Parity, Trial, Written
from zoo.export.folder import ENCODER, FIRST_STEP, NEXT_STEP, cache_names
from zoo.models.modes import evaluating
from zoo_export.attention import TRANSLATIONS
from zoo_export.graphs import EncoderGraph, FirstStepGraph, NextStepGraph
from zoo_export.options import OnnxOptions
from zoo_export.parity import compared
from zoo_export.precision import reduced
from zoo_export.storage import load_graphs, save_graphs, sizes

_LAYERS = ("MatMul", "Gemm", "Gather", "Conv", "LSTM")
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter says which modules a node comes from."""
_BATCH, _SOURCE, _TARGET = 3, 5, 2
"""Sizes of the example that is traced: each another, and none 1, so that no size is taken for a constant."""


class OnnxExporter(Exporter):
    """Encoder, first step and cached step of an encoder-decoder: a graph each, and a file with the weights of all.

    Names of graphs, inputs and outputs are optimum's. Shapes are free but for the number of new tokens, which is one.
    """

    options: OnnxOptions

    def refuse(self, model: Any) -> None:
        architecture = model.section.architecture
        if architecture != "encoder-decoder":
            raise InputError(f"a model of the architecture '{architecture}' cannot be exported to ONNX yet")
        for slot in ("output_fusion", "context_encoder"):
            chosen = getattr(model.section, slot)
            if chosen is not None:
                raise InputError(f"model.{slot}: a model with '{chosen.id}' cannot be exported to ONNX yet")
        _refuse_masks_of_fusions(model)

    def write(self, model: Any, folder: Path) -> Written:
        return self._saved(self._graphs(model), folder)

    def exact(self) -> Exporter | None:
        if self.options.weights == "float32":
            return None
        return OnnxExporter(OnnxOptions(opset=self.options.opset))

    def write_reduced(self, model: Any, exact: Path, folder: Path) -> Written:
        return self._saved(load_graphs(exact), folder)

    @contextmanager
    def trials(self, model: Any) -> Iterator[Trial]:
        graphs = self._graphs(model)

        def trial(layers: Sequence[str], folder: Path) -> Written:
            exporter = self.keeping(layers)
            assert isinstance(exporter, OnnxExporter)
            return exporter._saved(graphs, folder)

        yield trial

    def _saved(self, graphs: Mapping[str, onnx.ModelProto], folder: Path) -> Written:
        """The float32 `graphs`, which stay as they are, with the weights that options ask for, in `folder`."""
        changed: tuple[str, ...] = ()
        if self.options.weights != "float32":
            graphs, changed = reduced(graphs, self.options)
        save_graphs(graphs, folder)
        libraries = ["torch", "onnx", "onnxscript", *(["onnxruntime"] if changed else [])]
        return Written(
            sizes=sizes(folder),
            opset=self.options.opset,
            weights=self.options.weights,
            versions={name: metadata.version(name) for name in libraries},
            changed=changed,
        )

    def _graphs(self, model: Any) -> dict[str, onnx.ModelProto]:
        """The graphs of a model, in float32, by the names of their files."""
        found: dict[str, onnx.ModelProto] = {}
        layers = len(model.decoder.layers)
        with evaluating(model), torch.no_grad(), _quiet():
            ids = torch.arange(_BATCH * _SOURCE).view(_BATCH, _SOURCE) % model.config.vocab_size  # [B, S]
            mask = torch.ones_like(ids)
            start = torch.full((_BATCH, 1), int(model.config.decoder_start_token_id))
            states = EncoderGraph(model)(ids, mask)
            free: Any = torch.export.Dim.AUTO
            of_states = {0: free, states.ndim - 2: free}
            rows = {0: free, 1: free}
            found[ENCODER] = self._graph(
                EncoderGraph(model),
                {"input_ids": ids, "attention_mask": mask},
                ({**rows}, {**rows}),
                ["last_hidden_state"],
            )
            found[FIRST_STEP] = self._graph(
                FirstStepGraph(model),
                {"input_ids": start, "encoder_hidden_states": states, "encoder_attention_mask": mask},
                ({0: free}, of_states, {**rows}),
                ["logits", *cache_names("present", layers)],
            )
            first = FirstStepGraph(model)(start, states, mask)
            # Two tokens are held, so that their number is no constant.
            second = NextStepGraph(model)(start, mask, *first[1:])
            past = _interleaved(second[1:], first[1:])
            found[NEXT_STEP] = self._graph(
                NextStepGraph(model),
                {
                    "input_ids": start,
                    "encoder_attention_mask": mask,
                    **dict(zip(cache_names("past_key_values", layers), past, strict=True)),
                },
                ({0: free}, {**rows}, tuple({0: free, 2: free} for _ in past)),
                ["logits", *cache_names("present", layers, ("decoder",))],
            )
        return found

    def _graph(
        self, graph: nn.Module, inputs: dict[str, Tensor], dynamic: tuple[Any, ...], outputs: list[str]
    ) -> onnx.ModelProto:
        program = torch.onnx.export(
            graph,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=outputs,
            opset_version=self.options.opset,
            dynamo=True,
            custom_translation_table=TRANSLATIONS,
            dynamic_shapes=dynamic,
            optimize=True,
            verbose=False,
        )
        assert program is not None  # without a file to write
        _name_layers(program.model.graph)
        for node in program.model.graph:
            node.metadata_props.clear()  # where in the source it comes from: more bytes than the graph
        made: onnx.ModelProto = program.model_proto
        return made

    def parity(self, model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
        try:
            return compared(model, folder, batches, max_new_tokens=max_new_tokens)
        except Exception as error:
            if not isinstance(error, InputError) and not type(error).__module__.startswith("onnxruntime."):
                raise
            text = " ".join(str(error).split())[:300]
            raise ZooError(f"onnxruntime does not run what was written ({type(error).__name__}: {text})") from error


def _name_layers(graph: Any) -> None:
    """Name nodes that may have weights by their modules in torch: ``decoder.layers.0.feedforward.up``."""
    taken: set[str] = set()
    for node in graph:
        if node.op_type not in _LAYERS:
            continue
        scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
        modules = [scope for scope in scopes[:-1] if scope]  # the last is the operator's own
        if modules:
            name = modules[-1].removeprefix("model.")
            count = sum(other == name or other.startswith(f"{name}:") for other in taken)
            node.name = f"{name}:{count + 1}" if count else name
            taken.add(node.name)


def _interleaved(own: Sequence[Tensor], both: Sequence[Tensor]) -> list[Tensor]:
    """Two tensors a layer of `own`, then the two of the memory that `both` has behind its own."""
    layers = range(len(own) // 2)
    return [
        tensor for layer in layers for tensor in (*own[2 * layer : 2 * layer + 2], *both[4 * layer + 2 : 4 * layer + 4])
    ]


def _refuse_masks_of_fusions(model: Any) -> None:
    """Raise InputError where the fusion hides parts of its memory by a mask of its own: no graph carries it on."""
    ids = torch.full((1, 2), int(model.config.eos_token_id))  # [1, S]
    mask = torch.ones(1, 2, dtype=torch.bool)
    with evaluating(model), torch.no_grad():
        states = model.states_for_fusion(model.encoder(ids, mask))  # [1, L or 1, S, D]
        memory = model.decoder.fusion.memory(states, mask, 0)
    if memory.mask is not mask:
        chosen = model.section.fusion.id
        raise InputError(
            f"model.fusion: a model with '{chosen}', which masks its memory, cannot be exported to ONNX yet"
        )


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
