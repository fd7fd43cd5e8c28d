"""Detectors of fewer bits: what is made smaller, what is not, and how far that is from torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from zoo_export.box_parity import compared_boxes
from zoo_export.convolutions import Ranges, convolutions, of_8_bits
from zoo_export.detection_precision import end_of
from zoo_export.onnx_exporter import OnnxExporter
from zoo_export.options import OnnxOptions
from zoo_export.precision import LAYER, layer_of
from zoo_export.storage import WEIGHTS, load_graphs

from zoo.errors import InputError
from zoo.export.folder import WHOLE
from zoo.testing.surroundings import one_thread

from .test_onnx_detectors import DETECTORS, Given, batches, detr, given, model_of

__all__ = ["detr", "given"]
KERNEL = np.array([[[[0.5]], [[-1.0]], [[0.25]]], [[[1.0]], [[0.0]], [[-0.125]]]], np.float32)  # [2, 3, 1, 1]


def chain(*, between: Sequence[str] = ("Sigmoid",)) -> onnx.ModelProto:
    """Images -> convolution `first` -> `between` -> convolutions `score` and `box`, of which scores and boxes are
    computed; a score is of boxes, too."""
    nodes, taken = [], "pixel_values"

    def convolution(name: str, source: str) -> str:
        node = helper.make_node("Conv", [source, f"{name}.weight"], [f"{name}_out"], name)
        prop = node.metadata_props.add()
        prop.key, prop.value = LAYER, name
        nodes.append(node)
        return f"{name}_out"

    taken = convolution("first", taken)
    for place, operator in enumerate(between):
        nodes.append(helper.make_node(operator, [taken], [f"between_{place}"], f"between_{place}"))
        taken = f"between_{place}"
    score, box = convolution("score", taken), convolution("box", taken)
    nodes.append(helper.make_node("Exp", [box], ["boxes"], "exp"))
    nodes.append(helper.make_node("Mul", [score, "boxes"], ["scores"], "mul"))
    weights = [numpy_helper.from_array(KERNEL, "first.weight")]
    weights += [
        numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), f"{name}.weight") for name in ("score", "box")
    ]
    inputs = [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["b", 3, "h", "w"])]
    inputs += [helper.make_tensor_value_info("pixel_mask", TensorProto.BOOL, ["b", "h", "w"])]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("scores", "boxes")]
    graph = helper.make_graph(nodes, "chain", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def one_convolution() -> onnx.ModelProto:
    """The convolution `first` of `chain`, alone."""
    graph = chain()
    del graph.graph.node[1:], graph.graph.output[:], graph.graph.initializer[1:]
    graph.graph.output.append(helper.make_tensor_value_info("first_out", TensorProto.FLOAT, None))
    return graph


def batch(pixels: NDArray[np.float32]) -> dict[str, torch.Tensor]:
    mask = torch.ones((len(pixels), *pixels.shape[2:]), dtype=torch.bool)
    return {"pixel_values": torch.from_numpy(pixels), "pixel_mask": mask}


def ran(graph: onnx.ModelProto, pixels: NDArray[np.float32]) -> Any:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    mask = np.ones((len(pixels), *pixels.shape[2:]), np.bool_)
    return session.run(None, {"pixel_values": pixels, "pixel_mask": mask})[0]


def test_the_last_layers_are_those_that_reach_an_output_through_no_other() -> None:
    end = end_of(chain(between=("Relu", "Sigmoid")))
    assert end.layers == {"score", "box"}
    assert set(end.nodes) == {"exp", "mul"}, "what stands in front of a layer is no end"


def test_a_convolution_of_8_bits_has_the_ranges_that_were_seen_and_errs_by_its_steps() -> None:
    """Between 0 and 1 a step is 1/255; a weight is off by half a 127th of the largest of its channel at most, an output
    by half of its own step, and at an end of its range by another half, as 0 is a step. Past what was seen there is
    nothing."""
    draw = np.random.default_rng(0)
    seen = draw.random((4, 3, 6, 6), np.float32)
    seen[0, :, 0, 0], seen[0, :, 0, 1] = (1, 0, 1), (0, 1, 0)  # the largest and the least outputs there can be
    graph = one_convolution()
    ranges = Ranges([batch(seen[:2]), batch(seen[2:])], 1)
    made = of_8_bits(graph, ["first"], ranges, OnnxOptions(weights="int8"))
    held = {item.name: item for item in made.graph.initializer}
    assert {item.data_type for item in held.values() if tuple(item.dims) == KERNEL.shape} == {TensorProto.INT8}
    expected, found = ran(graph, seen), ran(made, seen)
    largest = np.abs(KERNEL).sum(1).ravel()  # [2]
    outputs = expected.max() - expected.min()
    bound = 0.5 / 255 * largest + 3 * 0.5 / 127 * np.abs(KERNEL).max((1, 2, 3)) + 1 / 255 * outputs  # [2]
    assert (np.abs(found - expected) <= 1.01 * bound[:, None, None]).all()
    assert np.abs(found - expected).max() > 1e-5, "it is no longer float32"
    beyond = np.full((1, 3, 2, 2), 9, np.float32)
    assert np.abs(ran(made, beyond) - ran(made, np.ones_like(beyond))).max() < 1e-6


def test_ranges_are_looked_for_once() -> None:
    class Counted(list[Any]):
        taken = 0

        def __getitem__(self, place: Any) -> Any:
            self.taken += 1
            return super().__getitem__(place)

    shown = Counted([batch(np.ones((1, 3, 2, 2), np.float32))])
    ranges = Ranges(shown, 1)
    for _ in range(2):
        of_8_bits(one_convolution(), ["first"], ranges, OnnxOptions(weights="int8"))
    assert shown.taken == 1


@pytest.fixture(scope="module")
def plain() -> Any:
    return model_of(DETECTORS["anchor-free of one level and numbers without bound"])


def test_four_bits_without_matrix_products_are_refused_or_given_up_where_nobody_asked(plain: Any) -> None:
    exporter = OnnxExporter(OnnxOptions(weights="int4"))
    with pytest.raises(InputError, match="'zoo-detection/anchor-free' has no matrix products, .*: take int8"):
        exporter.for_model(plain, {"weights"})[0].refuse(plain)
    fitted, decisions = exporter.for_model(plain)
    fitted.refuse(plain)
    assert [(item.what, item.value) for item in decisions][:2] == [("weights", "int8"), ("convolutions", "int8")]
    assert fitted.calibration(plain) == 32


def test_convolutions_alone_without_calibration_are_refused(plain: Any) -> None:
    with pytest.raises(InputError, match="calibration: .* has convolutions alone: 0 leaves all of it in float32"):
        OnnxExporter(OnnxOptions(weights="int8", calibration=0)).refuse(plain)
    OnnxExporter(OnnxOptions(weights="float16", calibration=0)).refuse(plain)


def test_a_detector_with_matrix_products_has_four_bits_and_is_told_of_both(detr: Any) -> None:
    exporter, decisions = OnnxExporter(OnnxOptions(weights="int4")).for_model(detr)
    exporter.refuse(detr)
    assert [(item.what, item.value) for item in decisions] == [
        ("convolutions", "int8"),
        ("matrix products", "int4, activations int8"),
        ("last layers", "float32"),
    ]
    assert OnnxExporter(OnnxOptions()).for_model(detr)[1] == ()


def test_boxes_of_fewer_bits_are_the_same_within_a_hundredth_and_no_image_is_left_out(detr: Any, given: Given) -> None:
    given.found["scores"] += 0.004
    found = compared_boxes(detr, Path(), batches(16)[:1], rounded=True)
    assert (found.examples, found.same_outputs) == (3, 3)
    assert found.mean_difference == pytest.approx(0.004 * 3 / 7, rel=1e-3)  # three scores and four corners a box
    given.found["scores"] += 0.02
    assert compared_boxes(detr, Path(), batches(16)[:1], rounded=True).same_outputs < 3


@pytest.fixture(scope="module")
def exact(plain: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exact")
    with one_thread():
        OnnxExporter(OnnxOptions()).write(plain, folder)
    return folder


@pytest.mark.soak  # in the slow part 8 and 16 bits are made of an export that is there: tests/export/runtime
def test_a_convolutional_detector_goes_out_in_8_and_16_bits(plain: Any, exact: Path, tmp_path: Path) -> None:
    """Layers have torch's names; the last stay in float32 unless told otherwise; other weights are told apart."""
    convolved = {name for name, module in plain.named_modules() if isinstance(module, torch.nn.Conv2d)}
    last = {"detector.classifier.output", "detector.regressor.output"}
    changed = {}
    for name, options in {"kept": {}, "all": {"keep_last": False}, "half": {"weights": "float16"}}.items():
        exporter = OnnxExporter(OnnxOptions.model_validate({"weights": "int8", **options}))
        (tmp_path / name).mkdir()
        with one_thread():
            written = exporter.write_reduced(plain, exact, tmp_path / name, calibration=batches(16))
            found = exporter.parity(plain, tmp_path / name, batches(16), max_new_tokens=0)
        changed[name] = set(written.changed)
        assert found.examples == 8
        assert found.mean_difference is not None
        assert 1e-7 < found.mean_difference < {"half": 2e-3}.get(name, 2e-2)
    assert changed == {"kept": convolved - last, "all": convolved, "half": convolved}
    left = {name: {layer_of(node) for node in convolutions(load_graphs(tmp_path / name)[WHOLE])} for name in changed}
    assert left == {"kept": last, "all": set(), "half": set()}
    sizes = {name: (tmp_path / name / WEIGHTS).stat().st_size for name in changed}
    assert sizes["all"] < sizes["half"] < 0.6 * (exact / WEIGHTS).stat().st_size


@pytest.mark.soak
@pytest.mark.parametrize("name", ["anchor-free", "detr", "rt-detr", "d-fine"])
def test_every_detector_goes_out_in_fewer_bits_nearer_to_itself_than_to_another(tmp_path: Path, name: str) -> None:
    model = model_of({"use": name, **DETECTORS[name]}, multiple=8)
    other = model_of({"use": name, **DETECTORS[name]}, multiple=8)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)))
    layers = {layer for layer, module in model.named_modules() if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)}
    (tmp_path / "exact").mkdir()
    with one_thread():
        OnnxExporter(OnnxOptions()).write(model, tmp_path / "exact")
    for weights in ("int8", "float16", *(["int4"] if name != "anchor-free" else [])):
        exporter = OnnxExporter(OnnxOptions(weights=weights, block_size=16))
        exporter.refuse(model)
        folder = tmp_path / weights
        folder.mkdir()
        with one_thread():
            written = exporter.write_reduced(model, tmp_path / "exact", folder, calibration=batches(8))
            found, far = (exporter.parity(one, folder, batches(8), max_new_tokens=0) for one in (model, other))
        assert np.isfinite(found.largest_difference), weights
        assert set(written.changed) <= {layer for layer, _ in model.named_modules()}
        assert len(written.changed) > 0.6 * len(layers), "what is for training alone is not there, and the last layers"
        assert found.mean_difference < 0.5 * far.mean_difference, weights
