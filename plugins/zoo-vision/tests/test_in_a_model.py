"""Every resize policy with every patch position in one small recogniser."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.images.patches import PATCHES
from zoo.models import assemble
from zoo.models.vision.packing import pack
from zoo.registry import use_registry
from zoo.spec import resolve_model
from zoo.testing.in_a_model import moved
from zoo.testing.in_an_image_model import some_image
from zoo.testing.plain import SECTION, VOCABULARY, with_plain_components

POLICIES: dict[str, dict[str, Any]] = {
    "squash": {"height": 16, "width": 48},
    "letterbox": {"height": 32, "width": 48},
    "native": {"multiple": 16},
    "large": {"long_side": 56},
}
POSITIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "absolute-interpolated": {"rows": 3, "columns": 4},
    "absolute-cropped": {},
    "factorized": {},
    "fractional-learned": {},
    "fractional-fourier": {},
    "relative-bias-2d": {"rows": 3, "columns": 4, "shared": False},
    "rotary-2d": {},
}
IMAGES = [some_image(13, 70, seed=1), some_image(40, 20, seed=2), some_image(9, 9, seed=3)]
TARGETS = torch.tensor([[0, 6, 12, 9], [0, 14, 7, 5], [0, 8, 8, 4]])


def _model(policy: str, position: str, attention: str = "auto") -> Any:
    image = {
        "input": {"use": f"zoo-vision/{policy}", **POLICIES[policy]},
        "patch": {"height": 8, "width": 8},
        "patch_position": {"use": f"zoo-vision/{position}", **POSITIONS[position]},
        "registers": 2,
        "registers_in_memory": True,
    }
    with use_registry(with_plain_components()):
        depths = {"encoder": {"layers": 1}, "decoder": {"layers": 1}}
        changes = {**depths, "architecture": "image-to-text", "image": image, "attention": attention}
        section = resolve_model({**SECTION, **changes})
        return moved(assemble(section, VOCABULARY, seed=2))


def _logits(model: Any, encoded: dict[str, Tensor], targets: Tensor) -> Tensor:
    with torch.no_grad():
        output: Tensor = model(**encoded, decoder_input_ids=targets, use_cache=False).logits
    return output


@pytest.mark.parametrize("position", POSITIONS)
def test_padded_and_packed_images_give_what_they_give_alone(position: str) -> None:
    """Padded to the longest of a batch; with the padding of their own canvas and without it; two in one row."""
    for policy in POLICIES:
        model = _model(policy, position)
        with use_registry(with_plain_components()):
            processor = model.processor()
        encoded = dict(processor(IMAGES))
        together = _logits(model, encoded, TARGETS)
        for row in (0, 2):  # two that a row of the batch pads
            alone = dict(processor(IMAGES[row]))
            real = alone["patch_mask"][0]
            bare = {name: alone[name][:, real] for name in PATCHES}
            for what, given in (("alone", alone), ("without its canvas", bare)):
                found = _logits(model, given, TARGETS[row : row + 1])
                torch.testing.assert_close(found[0], together[row], rtol=0, atol=1e-5, msg=f"{policy}: {what}")
        packed = _logits(model, pack(encoded, [[0, 2], [1]]), TARGETS[[0, 2, 1]])
        torch.testing.assert_close(packed, together[[0, 2, 1]], rtol=0, atol=1e-5, msg=f"{policy}: packed")


def _compare_kernels(position: str, attention: str, device: str, tolerance: float) -> None:
    """Padded and packed logits with one kernel against those that SDPA gives."""
    model, fused = (_model("native", position, name) for name in ("sdpa", attention))
    with use_registry(with_plain_components()):
        encoded = dict(model.processor()(IMAGES))
    for given in (encoded, pack(encoded, [[0, 2], [1]])):
        expected = _logits(model, given, TARGETS)
        found = _logits(fused.to(device), {name: item.to(device) for name, item in given.items()}, TARGETS.to(device))
        torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=tolerance)
    assert "flex" in (fused.attention_backend or "")


@pytest.mark.parametrize("position", ["relative-bias-2d", "rotary-2d"])
def test_flex_attention_gives_what_sdpa_gives(position: str) -> None:
    _compare_kernels(position, "flex", "cpu", 1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_fused_kernel_of_a_relative_bias_gives_what_sdpa_gives_on_a_cpu() -> None:
    _compare_kernels("relative-bias-2d", "auto", "cuda", 2e-3)
