"""What is asked of resize policies."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from zoo.images.inputs import ImageInput, Placement
from zoo.models.vision.processor import ZooImageProcessor
from zoo.registry import use_registry
from zoo.spec.options import Chosen
from zoo.testing.in_an_image_model import InAnImageModel, some_image
from zoo.testing.plain import IMAGE, with_plain_components
from zoo.testing.surroundings import untouched_surroundings

SIZES = ((1, 1), (1, 700), (700, 1), (16, 16), (33, 170), (640, 480), (32, 1280))
"""Heights and widths: single pixels, lines, pages."""
PATCH = (16, 8)


class ImageInputSuite(InAnImageModel):
    """Resize policies: see `zoo.images.inputs.ImageInput`. Patches are 16 x 8 pixels."""

    kind: ClassVar[str] = "image-input"

    def image(self, chosen: Chosen) -> dict[str, Any]:
        return {"input": chosen.plain(), "patch": {"height": PATCH[0], "width": PATCH[1]}}

    def policy(self, chosen: Chosen) -> ImageInput:
        """The built policy."""
        policy: ImageInput = chosen.create(*PATCH)
        assert isinstance(policy, ImageInput)
        return policy

    def processor(self, chosen: Chosen, **changes: Any) -> ZooImageProcessor:
        """An image processor with the policy."""
        with use_registry(with_plain_components()):
            return ZooImageProcessor({**IMAGE, **self.image(chosen), **changes})

    def test_an_image_stands_on_a_canvas_of_whole_patches(self, chosen: Chosen) -> None:
        policy = self.policy(chosen)
        for height, width in SIZES:
            placed = policy.place(height, width)
            assert isinstance(placed, Placement)
            what = f"{height} x {width} pixels at {placed}"
            assert placed.height >= 1, what
            assert placed.width >= 1, what
            assert placed.canvas_height % PATCH[0] == 0, f"{what}: no whole patches"
            assert placed.canvas_width % PATCH[1] == 0, f"{what}: no whole patches"
            assert 0 <= placed.top <= placed.canvas_height - placed.height, f"{what}: outside of its canvas"
            assert 0 <= placed.left <= placed.canvas_width - placed.width, f"{what}: outside of its canvas"
            assert placed.colour is None or all(0 <= item <= 255 for item in placed.colour), what

    def test_a_size_has_one_placement(self, chosen: Chosen) -> None:
        """Whatever was placed before: the number of patches is asked for without decoding."""
        first, second = self.policy(chosen), self.policy(chosen)
        with untouched_surroundings():
            expected = [first.place(*size) for size in SIZES]
        for index in (2, 0, 3, 1):
            assert second.place(*SIZES[index]) == expected[index], f"{SIZES[index]} is placed in two ways"

    def test_patches_are_real_where_a_pixel_of_the_image_is(self, chosen: Chosen) -> None:
        """A white image on grey zero: what is not 0 or the padding's colour is the image."""
        processor, policy = self.processor(chosen, mean=[0.25], std=[0.5]), self.policy(chosen)
        for size in ((33, 170), (90, 40)):
            encoded = processor([np.full((*size, 3), 255, dtype=np.uint8)])
            placed = policy.place(*size)
            rows, columns = processor.grid(*size)
            assert encoded["pixel_values"].shape[1] == rows * columns, "grid() and the patches made differ in number"
            canvas = encoded["pixel_values"][0].view(rows, columns, 3, *PATCH).permute(2, 0, 3, 1, 4)
            canvas = canvas.reshape(3, placed.canvas_height, placed.canvas_width)
            inside = torch.zeros(canvas.shape[1:], dtype=torch.bool)
            inside[placed.top : placed.top + placed.height, placed.left : placed.left + placed.width] = True
            torch.testing.assert_close(canvas[:, inside], torch.full_like(canvas[:, inside], 1.5))
            if placed.colour is None:
                assert not canvas[:, ~inside].any(), "padding is not 0 after normalisation"
            real = inside.view(rows, PATCH[0], columns, PATCH[1]).any(3).any(1).flatten()
            assert torch.equal(encoded["patch_mask"][0], real)
            assert encoded["patch_positions"][0].tolist() == [[i, j] for i in range(rows) for j in range(columns)]
            assert encoded["patch_grid"][0].unique(dim=0).tolist() == [[rows, columns]]

    def test_an_image_that_keeps_its_size_keeps_its_pixels(self, chosen: Chosen) -> None:
        processor, policy = self.processor(chosen, mean=[0.0], std=[1.0]), self.policy(chosen)
        kept = [size for size in ((33, 170), (48, 24)) if policy.place(*size) == _unscaled(policy.place(*size), size)]
        if not kept:
            pytest.skip("every image gets another size")
        for height, width in kept:
            image, placed = some_image(height, width), policy.place(height, width)
            rows, columns = processor.grid(height, width)
            cut = processor(image)["pixel_values"][0].view(rows, columns, 3, *PATCH).permute(0, 3, 1, 4, 2)
            canvas = cut.reshape(placed.canvas_height, placed.canvas_width, 3)
            found = canvas[placed.top : placed.top + height, placed.left : placed.left + width]
            assert torch.equal(found.mul(255).round().to(torch.uint8), torch.from_numpy(image))


def _unscaled(placed: Placement, size: tuple[int, int]) -> Placement:
    return Placement(*size, placed.canvas_height, placed.canvas_width, placed.top, placed.left, placed.colour)
