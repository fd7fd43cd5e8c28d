"""From uint8 images to patches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.errors import InputError
from zoo.images.inputs import Placement
from zoo.models import ZooImageProcessor
from zoo.models.vision.packing import pack, unpacking
from zoo.registry import use_registry
from zoo.testing.plain import IMAGE, PlainImageInput, with_plain_components


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    with use_registry(with_plain_components()):
        yield


def processor(**changes: Any) -> ZooImageProcessor:
    return ZooImageProcessor({**IMAGE, **changes})


def test_patches_are_cut_row_by_row_with_channels_first() -> None:
    """As torch's unfold cuts them, whose columns a convolution's weights multiply."""
    image = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    encoded = processor(mean=[0.0], std=[1.0])(image)
    whole = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    expected = torch.nn.functional.unfold(whole, (8, 4), stride=(8, 4)).transpose(1, 2)
    torch.testing.assert_close(encoded["pixel_values"], expected)
    assert encoded["patch_positions"][0].tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_padding_is_zero_after_normalisation_and_not_before() -> None:
    """Black pixels are -1 then; a canvas padded before normalisation would be -1 too."""
    encoded = processor()(np.zeros((5, 4, 3), dtype=np.uint8))
    canvas = encoded["pixel_values"].view(3, 8, 4)
    assert (canvas[:, :5] == -1).all()
    assert (canvas[:, 5:] == 0).all()


def test_each_channel_has_its_mean_and_deviation() -> None:
    encoded = processor(mean=[0.0, 0.5, 1.0], std=[1.0, 0.5, 0.25])(np.full((8, 4, 3), 255, dtype=np.uint8))
    assert encoded["pixel_values"].view(3, 32)[:, 0].tolist() == [1.0, 1.0, 0.0]


def test_grey_images_and_grey_models_go_together_with_colours() -> None:
    grey = np.full((8, 4), 100, dtype=np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=2)
    for channels in (1, 3):
        made = [processor(channels=channels)(item)["pixel_values"] for item in (grey, colour, Image.fromarray(grey))]
        assert made[0].shape == (1, 1, channels * 32)
        assert torch.equal(made[0], made[1])
        assert torch.equal(made[0], made[2])


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4, 3), dtype=np.float32), np.zeros((4, 4, 4), dtype=np.uint8), np.zeros((0, 4, 3), dtype=np.uint8)],
    ids=["floats", "four channels", "no pixels"],
)
def test_what_is_no_image_is_an_error_of_the_user(image: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected an image of uint8|expected at least one"):
        processor()([image])


def test_a_policy_that_would_crop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainImageInput, "place", lambda self, height, width: Placement(height, width, 8, 4))
    with pytest.raises(InputError, match="a canvas of whole patches"):
        processor()(np.zeros((9, 9, 3), dtype=np.uint8))


def test_a_colour_of_other_channels_than_the_images_is_refused_before_one_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed = Placement(8, 4, 8, 4, colour=(255, 0, 0))
    monkeypatch.setattr(PlainImageInput, "place", lambda self, height, width: placed)
    assert processor().grid(8, 4) == (1, 1)
    with pytest.raises(InputError, match=r"3 numbers of a colour: expected 1, .* is 1\)"):
        processor(channels=1).grid(8, 4)


def test_a_plugin_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="needs the plugin 'zoo-acme'"):
        ZooImageProcessor(dict(IMAGE), {"zoo-acme": "1.0"})


def test_a_keyword_that_is_none_is_refused_by_name_and_what_transformers_passes_is_not(tmp_path: Path) -> None:
    made, image = processor(), np.zeros((8, 4, 3), dtype=np.uint8)
    with pytest.raises(InputError, match=r"no keyword 'return_tensor': did you mean 'return_tensors'\?"):
        made(image, return_tensor="pt")
    with pytest.raises(InputError, match=r"no keyword 'do_resize': known: images, return_tensors"):
        made.preprocess(image, do_resize=False)
    with pytest.raises(
        InputError, match=r"no keyword 'resample' \(it is a key of the image section: give it in 'image'"
    ):
        ZooImageProcessor(dict(IMAGE), resample="lanczos")
    with pytest.raises(InputError, match=r"no keyword 'imag': did you mean 'image'\?"):
        ZooImageProcessor(imag=dict(IMAGE))
    made.save_pretrained(tmp_path)
    loaded = ZooImageProcessor.from_pretrained(tmp_path, local_files_only=True)
    assert isinstance(loaded(images=image, return_tensors="np")["pixel_values"], np.ndarray)
    assert torch.equal(loaded(image)["pixel_values"], made(image, return_tensors="pt")["pixel_values"])


def test_a_saved_processor_is_not_loaded_as_another(tmp_path: Path) -> None:
    """transformers would set an attribute, and images would be read as before."""
    processor().save_pretrained(tmp_path)
    for name, value in (("image", {**IMAGE, "channels": 1}), ("plugins", {})):
        with pytest.raises(InputError, match=f"'{name}' stands in the file, and is the model's beside it") as found:
            ZooImageProcessor.from_pretrained(tmp_path, **{name: value})
        assert "\n" not in str(found.value)


def test_packed_rows_are_taken_apart_again() -> None:
    made = processor()([np.full((8, 4 * n, 3), 10 * n, dtype=np.uint8) for n in (1, 2, 3)])
    packed = pack(made, [[2, 0], [1]])
    assert packed["segments"].tolist() == [[1, 1, 1, 2], [1, 1, 0, 0]]
    index, there = unpacking(packed["segments"])
    assert there.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    patches = packed["pixel_values"].flatten(0, 1)[index]
    for row, image in enumerate((2, 0, 1)):
        count = image + 1
        assert torch.equal(patches[row, :count], made["pixel_values"][image, :count])
