"""Weights of fewer bits: what is made smaller, what is not, and what stands on disk."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from zoo_export.onnx_exporter import OnnxExporter, refused_operator
from zoo_export.options import OnnxOptions
from zoo_export.precision import float_products, layer_nodes, layer_of
from zoo_export.storage import WEIGHTS, load_graphs

from zoo.errors import InputError
from zoo.export.contracts import Written
from zoo.export.folder import ENCODER, FIRST_STEP, LEAN_STEP, NEXT_STEP
from zoo.models import assemble
from zoo.spec import resolve_model
from zoo.testing.surroundings import one_thread

SECTION: dict[str, Any] = {
    "d_model": 16,
    "heads": 2,
    "encoder": {"layers": 1},
    "decoder": {"layers": 1},
    "position": "t5",
    "block": "pre-norm",
    "normalization": "layer-norm",
    "feedforward": {"use": "mlp", "width": 64, "activation": "relu"},
    "fusion": "top",
    "max_positions": 64,
}
VOCABULARY = 640
"""So large that torch's exporter leaves the transpose of a tied projection in the graph."""


@pytest.fixture(scope="module")
def model() -> Any:
    return assemble(resolve_model(SECTION), VOCABULARY, seed=3).eval()


@pytest.fixture(scope="module")
def exact(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exact")
    with one_thread():
        OnnxExporter(OnnxOptions()).write(model, folder)
    return folder


def written(exact: Path, folder: Path, **options: Any) -> Written:
    return OnnxExporter(OnnxOptions.model_validate(options)).write_reduced(None, exact, folder)


@pytest.mark.slow
def test_a_tied_projection_is_a_transpose_in_float32_so_that_the_table_stands_there_once(
    exact: Path, model: Any
) -> None:
    graphs = load_graphs(exact)
    (projection,) = [node for node in graphs[NEXT_STEP].graph.node if layer_of(node) == "lm_head"]
    (source,) = [node for node in graphs[NEXT_STEP].graph.node if projection.input[1] in node.output]
    assert source.op_type == "Transpose"
    numbers = sum(parameter.numel() for parameter in model.parameters())  # each once
    assert (exact / WEIGHTS).stat().st_size < 1.05 * 4 * numbers
    assert {item.name for item in exact.iterdir()} == {ENCODER, FIRST_STEP, NEXT_STEP, LEAN_STEP, WEIGHTS}


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["int8", "int4", "float16"])
def test_no_product_with_float32_weights_is_left_of_any_layer(
    exact: Path, model: Any, tmp_path: Path, weights: str
) -> None:
    told = written(exact, tmp_path, weights=weights, block_size=16)  # layers have few inputs
    graphs = load_graphs(tmp_path)
    assert [float_products(graph) for graph in graphs.values()] == [[], [], [], []]
    linear = {
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear | torch.nn.Embedding)
    }
    assert set(told.changed) == linear
    assert told.sizes == {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    smaller = {"int8": 0.75, "int4": 0.65, "float16": 0.8}  # of a table twice: as rows, and as a product takes it
    assert told.sizes[WEIGHTS] < smaller[weights] * (exact / WEIGHTS).stat().st_size


@pytest.mark.slow
def test_layers_that_are_kept_have_their_weights_to_the_last_digit(exact: Path, model: Any, tmp_path: Path) -> None:
    told = written(exact, tmp_path, weights="int8", keep_float32=["lm_head", "encoder.layers.?.feedforward.*"])
    assert "lm_head" not in told.changed
    assert "decoder.embed_tokens" in told.changed
    graphs = load_graphs(tmp_path)
    (node,) = [node for node in graphs[NEXT_STEP].graph.node if layer_of(node) == "lm_head"]
    (weight,) = [item for item in graphs[NEXT_STEP].graph.initializer if item.name == node.input[1]]
    assert torch.equal(torch.from_numpy(numpy_helper.to_array(weight).copy()), model.lm_head.weight.T)
    kept = [layer_of(node) for node in layer_nodes(graphs[ENCODER])]
    assert sorted(kept) == ["encoder.layers.0.feedforward.down", "encoder.layers.0.feedforward.up"]


@pytest.mark.slow
def test_a_layer_that_is_not_there_is_named_with_the_nearest(exact: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no layer 'lm_haed' in this model: did you mean 'lm_head'"):
        written(exact, tmp_path, weights="int8", keep_float32=["lm_haed"])


@pytest.mark.slow
def test_a_reduced_range_has_weights_of_seven_bits_and_channels_have_scales_of_their_own(
    exact: Path, tmp_path: Path
) -> None:
    largest, scales = {}, {}
    for name, options in {"whole": {}, "reduced": {"reduced_range": True, "per_channel": False}}.items():
        (tmp_path / name).mkdir()
        written(exact, tmp_path / name, weights="int8", **options)
        graph = load_graphs(tmp_path / name)[NEXT_STEP].graph
        held = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        products = [node for node in graph.node if node.op_type == "MatMulInteger"]
        largest[name] = max(abs(held[node.input[1]].astype(int)).max() for node in products)
        scales[name] = {held[key].size for key in held if key.endswith("_scale") and held[key].ndim < 2}
    assert largest == {"whole": 127, "reduced": 64}
    assert scales["reduced"] == {1}
    assert max(scales["whole"]) == VOCABULARY


@pytest.mark.slow
def test_float16_caches_go_from_graph_to_graph_and_positions_are_computed_in_more(exact: Path, tmp_path: Path) -> None:
    written(exact, tmp_path, weights="float16")
    cpu = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(tmp_path / NEXT_STEP, providers=cpu)
    kinds = {item.name: item.type for item in (*session.get_inputs(), *session.get_outputs())}
    assert kinds["past_key_values.0.encoder.key"] == kinds["present.0.decoder.value"] == "tensor(float16)"
    assert kinds["logits"] == "tensor(float)"
    graph = load_graphs(tmp_path)[NEXT_STEP]
    logarithm = next(node for node in graph.graph.node if node.op_type == "Log")  # of T5's distances
    types = {
        item.name: item.type.tensor_type.elem_type for item in onnx.shape_inference.infer_shapes(graph).graph.value_info
    }
    assert types[logarithm.output[0]] == onnx.TensorProto.FLOAT


@pytest.mark.slow
def test_onnxruntimes_tools_leave_logging_and_module_paths_as_they_were(exact: Path, tmp_path: Path) -> None:
    root, path = logging.getLogger(), list(sys.path)
    before = list(root.handlers), root.level, logging.root.manager.disable
    for weights in ("int8", "int4", "float16"):
        (tmp_path / weights).mkdir()
        written(exact, tmp_path / weights, weights=weights)
    assert (root.handlers, root.level, logging.root.manager.disable) == before
    assert sys.path == path


def test_keeping_layers_of_float32_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="with weights 'float32' every layer stays so"):
        OnnxOptions.model_validate({"keep_float32": ["lm_head"]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for MatMulNBits(1) node",
            "MatMulNBits",
        ),
        ("Fatal error: com.microsoft:GatherBlockQuantized(-1) is not a registered function/op", "GatherBlockQuantized"),
        ("Non-zero status code returned while running Attention node. Name:'x'", "Attention"),
        ("No Op registered for LayerNormalization with domain_version of 16", "LayerNormalization"),
        ("Protobuf parsing failed.", None),
    ],
)
def test_the_operator_that_onnxruntime_refuses_is_read_from_what_it_says(text: str, expected: str | None) -> None:
    assert refused_operator(text) == expected


def test_less_is_asked_of_weights_first_then_of_the_opset() -> None:
    found, options = [], OnnxOptions(weights="int4", opset=19)
    while (step := OnnxExporter(options).weaker()) is not None:
        found.append(step)
        options = options.model_copy(update=dict([step]))
    assert found == [("weights", "int8"), ("weights", "float32"), ("opset", 18)]
