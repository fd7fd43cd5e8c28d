"""Small recognisers around a component, and what a component of theirs must leave true: padding, packing, the cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.images.patches import PATCHES
from zoo.models import load_model
from zoo.models._compat import CACHE, new_cache
from zoo.models.vision.packing import pack
from zoo.registry import use_registry
from zoo.spec.options import Chosen
from zoo.testing.in_a_model import TOLERANCE, moved
from zoo.testing.module import TorchSuite, close
from zoo.testing.plain import plain_image_model, with_plain_components
from zoo.testing.surroundings import untouched_surroundings

SIZES = ((13, 18), (8, 31), (24, 6))
"""Heights and widths of the images: for patches of 8 x 4 the grids 2 x 5, 1 x 8 and 3 x 2, partly padded."""
TARGETS = torch.tensor([[0, 6, 12, 9], [0, 14, 7, 5], [0, 8, 8, 4]])


def some_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise, uint8 ``[height, width, 3]``."""
    drawn: np.ndarray = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return drawn


def images() -> list[np.ndarray]:
    """Three images of different grids."""
    return [some_image(*size, seed=index) for index, size in enumerate(SIZES)]


def some_of(encoded: dict[str, Tensor], row: int, patches: Tensor) -> dict[str, Tensor]:
    """One image of a batch, and of its patches ``[N]`` those that are True."""
    return {name: encoded[name][row : row + 1, patches] for name in PATCHES}


class InAnImageModel(TorchSuite):
    """Inherited by a kind whose components have a slot in the image section."""

    def image(self, chosen: Chosen) -> dict[str, Any]:
        """What the component changes of the plain image section."""
        raise NotImplementedError

    def model(self, chosen: Chosen, architecture: str = "image-to-text", **changes: Any) -> Any:
        """A small recogniser with the component in it, in evaluation mode; no weight is as it was initialised."""
        return moved(plain_image_model(architecture, **{**self.image(chosen), **changes}))

    def encoded(self, model: Any, which: Sequence[int] = (0, 1, 2)) -> dict[str, Tensor]:
        """Some of the images as the model's processor has them."""
        return self.encoded_of(model, [images()[index] for index in which])

    def encoded_of(self, model: Any, pictures: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """Images as the model's processor has them."""
        with use_registry(with_plain_components()):
            return dict(model.processor()(list(pictures)))

    def logits(self, model: Any, encoded: dict[str, Tensor], rows: Sequence[int] = (0, 1, 2)) -> Tensor:
        """``[M, T, V]`` of the targets of these images; frames ``[M, F, V]`` of a model without a decoder."""
        given = {"decoder_input_ids": TARGETS[list(rows)]} if model.config.is_encoder_decoder else {}
        with torch.no_grad():
            output: Tensor = model(**encoded, **given, use_cache=False).logits
        return output

    def test_in_a_model_each_image_of_a_batch_is_computed_as_if_alone(self, chosen: Chosen) -> None:
        """Whatever its row is padded with, and whether or not padding of its canvas is there at all."""
        model = self.model(chosen, registers=2)
        encoded = self.encoded(model)
        together = self.logits(model, encoded)
        for row in range(3):
            alone = self.logits(model, self.encoded(model, [row]), [row])
            close(alone, together[row : row + 1], TOLERANCE, f"image {row} alone and in a batch")
            bare = self.logits(model, some_of(encoded, row, encoded["patch_mask"][row]), [row])
            close(bare, together[row : row + 1], TOLERANCE, f"image {row} with and without patches of padding")

    def test_in_a_model_images_packed_in_one_row_are_computed_as_if_alone(self, chosen: Chosen) -> None:
        """Each with registers of its own, which the decoder sees; its decoder sees the patches of its own image."""
        model = self.model(chosen, registers=2, registers_in_memory=True)
        encoded = self.encoded(model)
        packed = self.logits(model, pack(encoded, [[0, 1], [2]]))
        close(packed, self.logits(model, encoded), TOLERANCE, "packed and in rows of their own")

    def test_in_a_model_cached_decoding_equals_one_pass(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        encoded = self.encoded(model)
        read, cache, steps = model.read_source(encoded), new_cache(), []
        with torch.no_grad():
            for index in range(TARGETS.shape[1]):
                piece = {"decoder_input_ids": TARGETS[:, index : index + 1], CACHE: cache}
                steps.append(model(**read, **piece, use_cache=True).logits)
        close(torch.cat(steps, dim=1), self.logits(model, encoded), TOLERANCE, "cached against one pass")

    def test_in_a_model_bfloat16_stays_finite(self, chosen: Chosen) -> None:
        model = self.model(chosen).to(torch.bfloat16)
        output = model(**self.encoded(model), decoder_input_ids=TARGETS, use_cache=False).logits
        assert output.dtype == torch.bfloat16, f"bfloat16 weights, {output.dtype} logits"
        assert torch.isfinite(output).all(), "logits in bfloat16 are not finite"

    def test_in_a_model_what_was_saved_is_loaded(self, chosen: Chosen, tmp_path: Path) -> None:
        """The model and what stands before it."""
        model = self.model(chosen, registers=2)
        encoded = self.encoded(model)
        expected = self.logits(model, encoded)
        with use_registry(with_plain_components()):
            model.save_pretrained(tmp_path)
            with untouched_surroundings():
                loaded = load_model(tmp_path).eval()
            again = dict(type(model.processor()).from_pretrained(str(tmp_path))(images()))
        for name in PATCHES:
            assert torch.equal(again[name], encoded[name]), f"the loaded processor gives other {name}"
        assert torch.equal(self.logits(loaded, again), expected), "a loaded model computes something else"
