"""Sizes that resize policies give, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.images.inputs import ImageInput, Placement
from zoo.models.vision.processor import ZooImageProcessor
from zoo.registry import current_registry
from zoo.spec.options import Chosen


def policy(name: str, patch: tuple[int, int] = (16, 16), **options: Any) -> ImageInput:
    record = current_registry().get("image-input", f"zoo-vision/{name}")
    built: ImageInput = Chosen(record, record.load_options().model_validate(options)).create(*patch)
    return built


CASES = [
    # policy, options, height and width, placement
    ("squash", {"height": 64, "width": 32}, (20, 900), Placement(64, 32, 64, 32)),
    ("letterbox", {"height": 64, "width": 64}, (100, 200), Placement(32, 64, 64, 64, 16, 0)),
    ("letterbox", {"height": 64, "width": 64}, (20, 10), Placement(64, 32, 64, 64, 0, 16)),
    (
        "letterbox",
        {"height": 64, "width": 64, "align": "top-left", "colour": [255]},
        (10, 20),
        Placement(32, 64, 64, 64, 0, 0, (255,)),
    ),
    ("letterbox", {"height": 32, "width": 64}, (3, 5000), Placement(1, 64, 32, 64, 15, 0)),
    ("native", {}, (70, 130), Placement(70, 130, 80, 144)),  # transformers' ViT crops this one to 64 x 128
    ("native", {}, (8, 8), Placement(8, 8, 16, 16)),
    ("native", {"multiple": 32}, (33, 20), Placement(33, 20, 64, 32)),
    ("native", {"max_patches": 8}, (64, 64), Placement(32, 32, 32, 32)),
    ("large", {"long_side": 64}, (20, 100), Placement(13, 64, 16, 64)),
    ("large", {"long_side": 320}, (8, 64), Placement(40, 320, 48, 320)),
    ("large", {"long_side": 320, "upscale": False}, (8, 64), Placement(8, 64, 16, 64)),
    ("large", {"long_side": 64, "upscale": False}, (128, 16), Placement(64, 8, 64, 16)),
]


@pytest.mark.parametrize(("name", "options", "size", "expected"), CASES)
def test_an_image_gets_the_size_that_the_policy_says(
    name: str, options: dict[str, Any], size: tuple[int, int], expected: Placement
) -> None:
    assert policy(name, **options).place(*size) == expected


def test_a_limit_of_patches_holds_for_every_aspect_and_is_nearly_met() -> None:
    """The aspect is kept to half a pixel, and one row of patches more would not fit."""
    limited, free = policy("native", max_patches=40), policy("native")
    for height, width in ((500, 500), (40, 4000), (9000, 31), (640, 480), (16, 640), (1, 100_000)):
        placed = limited.place(height, width)
        patches = placed.canvas_height * placed.canvas_width // 256
        assert patches <= 40
        larger = (placed.height + 16, round((placed.height + 16) * width / height))
        assert free.place(*larger).canvas_height * free.place(*larger).canvas_width // 256 > 40
        if min(placed.height, placed.width) > 1:
            kept = (placed.height - 0.5) / (placed.width + 0.5), (placed.height + 0.5) / (placed.width - 0.5)
            assert kept[0] <= height / width <= kept[1]


@pytest.mark.parametrize("name", ["squash", "letterbox"])
def test_a_canvas_of_broken_patches_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="64 x 40 pixels are no whole patches of 16 x 16"):
        policy(name, height=64, width=40)


def test_a_limit_below_the_smallest_image_is_refused() -> None:
    with pytest.raises(InputError, match="the smallest image has 4 patches"):
        policy("native", patch=(8, 8), max_patches=3)


def test_the_colour_of_a_letterbox_is_what_the_padding_has() -> None:
    image = {
        "input": {"use": "zoo-vision/letterbox", "height": 32, "width": 32, "colour": [255, 0, 51]},
        "patch_position": "zoo-vision/none",
        "mean": [0.0],
        "std": [1.0],
    }
    encoded = ZooImageProcessor(image)(np.zeros((8, 32, 3), dtype=np.uint8))
    corner = encoded["pixel_values"][0, 0].view(3, 16, 16)[:, 0, 0]
    assert corner.tolist() == pytest.approx([1.0, 0.0, 0.2])
    assert encoded["patch_mask"].all()  # every patch has a row of the image
