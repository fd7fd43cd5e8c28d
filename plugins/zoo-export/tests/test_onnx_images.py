"""What ONNX exports of recognisers compute, against their models in torch. One of each kind is exported and run by the
tests of `zoo.export.runtime` every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from zoo_export.onnx_exporter import OnnxExporter
from zoo_export.options import OnnxOptions

from zoo.export.folder import ENCODER, FRAMES, MASK, WHOLE
from zoo.images.patches import PATCHES
from zoo.models import ZooImageProcessor, assemble
from zoo.spec import resolve_model
from zoo.testing.in_a_model import moved
from zoo.testing.in_an_image_model import some_image
from zoo.testing.surroundings import one_thread

SECTION: dict[str, Any] = {
    "architecture": "image-to-text",
    "d_model": 16,
    "heads": 2,
    "encoder": {"layers": 1},
    "decoder": {"layers": 1},
    "position": "sinusoidal",
    "block": "pre-norm",
    "normalization": "layer-norm",
    "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
    "fusion": "top",
    "max_positions": 64,
}
OF_CTC = {"architecture": "image-ctc", "tie_embeddings": "none"}
IMAGE: dict[str, Any] = {"input": "native", "patch": {"height": 8, "width": 8}, "patch_position": "rotary-2d"}
VOCABULARY = 40
POSITIONS: list[Any] = [
    "none",
    {"use": "absolute-interpolated", "rows": 3, "columns": 4},
    {"use": "absolute-cropped", "anchor": "centre"},
    "factorized",
    "fractional-learned",
    "fractional-fourier",
    {"use": "relative-bias-2d", "rows": 3, "columns": 4, "shared": False},
    "rotary-2d",
]
POLICIES: list[Any] = [
    {"use": "squash", "height": 16, "width": 48},
    {"use": "letterbox", "height": 32, "width": 48},
    {"use": "letterbox", "height": 32, "width": 48, "colour": [255], "align": "top-left"},
    {"use": "native", "multiple": 16},
    {"use": "native", "max_patches": 8},
    {"use": "large", "long_side": 56},
]
REGISTERS: list[dict[str, Any]] = [{}, {"registers": 2}, {"registers": 2, "registers_in_memory": True}]
SIZES = [[(13, 70), (40, 20), (9, 9), (24, 24)], [(30, 90)], [(9, 9)]]
"""Of images that share a batch: of several grids, of one, of a single patch."""


def model_of(image: dict[str, Any] | None = None, **changes: Any) -> Any:
    """A model with weights that make its outputs differ from each other."""
    section = {**SECTION, "image": {**IMAGE, **(image or {})}, **changes}
    if section["architecture"] == "image-ctc":
        section = {name: value for name, value in section.items() if name not in {"decoder", "position", "fusion"}}
    return moved(assemble(resolve_model(section), VOCABULARY, seed=3)).eval()


def batches(model: Any, policies: list[Any]) -> list[dict[str, Any]]:
    """Images as each policy makes them for a model; its own policy is in no graph."""
    found = []
    for policy in policies:
        processor = ZooImageProcessor({**model.section.image.plain(), "input": policy})
        for sizes in SIZES:
            found.append(dict(processor([some_image(*size, seed=seed) for seed, size in enumerate(sizes)])))
    return found


def assert_same(model: Any, folder: Path, policies: list[Any]) -> None:
    exporter = OnnxExporter(OnnxOptions())
    exporter.refuse(model)
    with one_thread():
        exporter.write(model, folder)
        found = exporter.parity(model, folder, batches(model, policies), max_new_tokens=8)
    assert found.examples == found.same_outputs == 6 * len(policies)
    assert found.largest_difference < 2e-5


@pytest.mark.soak
def test_a_decoder_reads_an_encoder_of_images_its_registers_and_every_layer(tmp_path: Path) -> None:
    image = {"patch_position": POSITIONS[6], **REGISTERS[2]}
    model = model_of(image, fusion="transparent")
    assert model.encoder.keep_layers
    assert_same(model, tmp_path, POLICIES[2:4])
    session = onnxruntime.InferenceSession(tmp_path / ENCODER, providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_inputs()] == list(PATCHES)
    assert [item.name for item in session.get_outputs()] == ["last_hidden_state", MASK]
    batch = batches(model, POLICIES[3:4])[0]
    states, mask = session.run(None, {name: tensor.numpy() for name, tensor in batch.items()})
    assert states.shape == (4, 2, 2 + batch["patch_mask"].shape[1], 16)  # every layer; two registers before patches
    assert np.array_equal(mask[:, :2], np.ones((4, 2)))
    assert np.array_equal(mask[:, 2:], batch["patch_mask"].long().numpy())


@pytest.mark.soak
def test_a_head_of_frames_is_one_graph_in_half_precision_too(tmp_path: Path) -> None:
    model = model_of({"frames": 2, "registers": 1, "patch_position": POSITIONS[7]}, **OF_CTC)
    assert_same(model, tmp_path, POLICIES[:4])
    assert {path.name for path in tmp_path.glob("*.onnx")} == {WHOLE}
    session = onnxruntime.InferenceSession(tmp_path / WHOLE, providers=["CPUExecutionProvider"])
    assert [item.name for item in session.get_outputs()] == ["logits", FRAMES]
    half = OnnxExporter(OnnxOptions(weights="float16"))
    (tmp_path / "half").mkdir()
    half.write_reduced(model, tmp_path, tmp_path / "half")
    found = half.parity(model, tmp_path / "half", batches(model, POLICIES[:1]), max_new_tokens=8)
    assert 1e-6 < found.largest_difference < 1e-1


@pytest.mark.soak
@pytest.mark.parametrize("architecture", ["image-to-text", "image-ctc"])
@pytest.mark.parametrize("position", POSITIONS, ids=str)
def test_every_patch_position_gives_torchs_outputs_with_every_policy(
    tmp_path: Path, position: Any, architecture: str
) -> None:
    changes = OF_CTC if architecture == "image-ctc" else {}
    assert_same(model_of({"patch_position": position}, **changes), tmp_path, POLICIES)


@pytest.mark.soak
@pytest.mark.parametrize("mask", ["real", "none", "inverted"])
@pytest.mark.parametrize("registers", REGISTERS, ids=str)
def test_every_mask_gives_torchs_outputs_with_registers_and_without(
    tmp_path: Path, registers: dict[str, Any], mask: str
) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "ctc").mkdir()
    assert_same(model_of({**registers, "mask": mask}), tmp_path / "text", POLICIES)
    if "registers_in_memory" not in registers:
        assert_same(model_of({**registers, "mask": mask}, **OF_CTC), tmp_path / "ctc", POLICIES)


@pytest.mark.soak
@pytest.mark.parametrize("fusion", ["fine-grained", "free-scalar"])
def test_fusions_read_layers_of_images(tmp_path: Path, fusion: str) -> None:
    assert_same(model_of(fusion=fusion, encoder={"layers": 2}, decoder={"layers": 2}), tmp_path, POLICIES[2:4])
