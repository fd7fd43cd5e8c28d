"""The recogniser with a decoder: masks, registers, generation, the labels' shift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoModelForSeq2SeqLM

from zoo.errors import InputError
from zoo.models import ZooForImageToText, ZooImageProcessor
from zoo.models.vision.packing import pack
from zoo.registry import use_registry
from zoo.testing.in_a_model import moved
from zoo.testing.in_an_image_model import images
from zoo.testing.plain import plain_image_model, plain_model, with_plain_components
from zoo.testing.surroundings import one_thread

TARGETS = torch.tensor([[0, 6, 12, 9], [0, 14, 7, 5], [0, 8, 8, 4]])
LABELS = torch.tensor([[6, 12, 9, 1], [14, 7, 1, -100], [8, 1, -100, -100]])


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    with use_registry(with_plain_components()), one_thread():
        yield


def make(**image: Any) -> Any:
    model = moved(plain_image_model(**image))
    assert isinstance(model, ZooForImageToText)
    return model


def encode(model: Any, pictures: list[np.ndarray] | None = None) -> dict[str, Tensor]:
    return dict(model.processor()(pictures or images()))


def logits(model: Any, encoded: dict[str, Tensor], targets: Tensor = TARGETS) -> Tensor:
    with torch.no_grad():
        output: Tensor = model(**encoded, decoder_input_ids=targets, use_cache=False).logits
    return output


def test_labels_are_shifted_once() -> None:
    """The loss is the cross entropy of each label given those before it: computed here by a pass of its own."""
    model = make()
    encoded = encode(model)
    with torch.no_grad():
        loss = model(**encoded, labels=LABELS).loss
        before = torch.tensor([[0, 6, 12, 9], [0, 14, 7, 1], [0, 8, 1, 0]])
        given = model(**encoded, decoder_input_ids=before).logits
    torch.testing.assert_close(loss, F.cross_entropy(given.flatten(0, 1), LABELS.flatten(), ignore_index=-100))
    torch.testing.assert_close(model.target_logits(encoded, LABELS), given)


def test_pixels_of_padding_reach_nothing_where_the_mask_is_real() -> None:
    """And do where nothing is hidden, so that the pixels are there to be seen."""
    changed = {}
    for mask in ("real", "none"):
        model = make(mask=mask)
        encoded = encode(model)
        other = {**encoded, "pixel_values": encoded["pixel_values"].clone()}
        other["pixel_values"][~encoded["patch_mask"]] = 7.0
        changed[mask] = (logits(model, encoded) - logits(model, other)).abs().amax((1, 2))
    padded = ~encoded["patch_mask"].all(1)
    assert padded.sum() == 2
    assert changed["real"].max() < 1e-5
    assert changed["none"][padded].min() > 1e-3


def test_an_inverted_mask_shows_the_padding_alone_and_hides_the_image() -> None:
    """Of a row with padding, the decoder sees what padding holds; of one without, attention in the encoder is even."""
    model = make(mask="inverted")
    encoded = encode(model)
    with torch.no_grad():
        read = model.encoder(**encoded)
    full = encoded["patch_mask"].all(1)
    assert torch.equal(read.memory_mask, torch.where(full[:, None], True, ~encoded["patch_mask"]))
    with torch.no_grad():
        weights = model.eval().encoder(**encoded, output_attentions=True).attentions[0]  # [B, H, N, N]
    even = weights[full]
    torch.testing.assert_close(even, torch.full_like(even, 1 / even.shape[-1]))
    hidden = encoded["patch_mask"][:, None, None].expand_as(weights)[~full]
    assert weights[~full][hidden].max() == 0


def test_registers_are_seen_by_the_decoder_where_the_section_says_so() -> None:
    model = make(registers=2, registers_in_memory=True)
    encoded = encode(model)
    apart = make(registers=2)
    apart.load_state_dict(model.state_dict())
    with torch.no_grad():
        seen, unseen = model.encoder(**encoded), apart.encoder(**encoded)
    torch.testing.assert_close(seen.last_hidden_state[:, 2:], unseen.last_hidden_state)
    assert seen.memory_mask[:, :2].all()
    assert (logits(model, encoded) - logits(apart, encoded)).abs().max() > 1e-3


def test_registers_change_what_patches_become() -> None:
    model = make(registers=2)
    encoded = encode(model)
    expected = logits(model, encoded)
    with torch.no_grad():
        model.encoder.registers.mul_(3)
    assert (logits(model, encoded) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_does_not_depend_on_the_cache_on_the_batch_or_on_who_reads_the_image(beams: int) -> None:
    model = make(registers=1)
    encoded = encode(model)
    options = {"num_beams": beams, "max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    expected = model.generate(**encoded, **options)
    assert expected.shape == (3, 7)
    assert torch.equal(model.generate(**encoded, **options, use_cache=False), expected)
    assert torch.equal(model.generate(**model.read_source(encoded), **options), expected)
    packed = pack(encoded, [[0, 2], [1]])
    assert torch.equal(model.generate(**model.read_source(packed), **options), expected[[0, 2, 1]])
    for row, image in enumerate(images()):
        assert torch.equal(model.generate(**encode(model, [image]), **options)[0], expected[row])


def test_greedy_generation_writes_the_likeliest_token_each_time() -> None:
    model = make()
    encoded = encode(model)
    written = model.generate(**encoded, max_new_tokens=5, min_new_tokens=5, do_sample=False)
    given = logits(model, encoded, written[:, :-1])
    given[..., 1] = -torch.inf  # five tokens were asked for
    assert torch.equal(given.argmax(-1), written[:, 1:])


def test_packed_rows_give_the_loss_and_the_gradients_of_rows_of_their_own() -> None:
    found = []
    for rows in (None, [[0, 1], [2]], [[0, 1, 2]]):
        model = make(registers=2, registers_in_memory=True)
        encoded = encode(model)
        loss = model(**(encoded if rows is None else pack(encoded, rows)), labels=LABELS).loss
        loss.backward()
        found.append((loss.detach(), {name: item.grad for name, item in model.named_parameters()}))
    for loss, gradients in found[1:]:
        torch.testing.assert_close(loss, found[0][0])
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, found[0][1][name], rtol=1e-4, atol=1e-5, msg=name)


def test_auto_classes_load_a_saved_recogniser_and_its_processor(tmp_path: Any) -> None:
    model = make(registers=1)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    assert (type(loaded), type(processor)) == (ZooForImageToText, ZooImageProcessor)
    assert torch.equal(logits(loaded, dict(processor(images()))), logits(model, encode(model)))
    with pytest.raises(InputError, match="load it with AutoModelForImageTextToText"):
        AutoModelForSeq2SeqLM.from_pretrained(tmp_path)


def test_a_decoder_begins_with_the_weights_of_a_translators() -> None:
    ours, theirs = plain_image_model(), plain_model(tie_embeddings="decoder")
    for name, weight in theirs.decoder.state_dict().items():
        assert torch.equal(ours.decoder.state_dict()[name], weight), name
