"""The recogniser with a CTC head: its loss against torch's, its decoding against a collapse by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoImageProcessor, AutoModelForCTC

from zoo.errors import InputError
from zoo.models import ZooForImageCTC
from zoo.models.flops import forward_flops, parameter_counts
from zoo.models.vision.packing import pack
from zoo.registry import use_registry
from zoo.testing.in_a_model import moved
from zoo.testing.in_an_image_model import images
from zoo.testing.plain import plain_image_model, with_plain_components
from zoo.testing.surroundings import one_thread

LABELS = torch.tensor([[6, 12, 12, 1], [14, 7, 1, -100], [8, 1, -100, -100]])


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    with use_registry(with_plain_components()), one_thread():
        yield


def make(**image: Any) -> Any:
    model = moved(plain_image_model("image-ctc", **image))
    assert isinstance(model, ZooForImageCTC)
    return model


def encode(model: Any) -> dict[str, Tensor]:
    return dict(model.processor()(images()))


@pytest.mark.parametrize("frames", [1, 2])
def test_an_image_has_frames_for_each_column_of_its_patches(frames: int) -> None:
    """Widths 18, 31 and 6 at patches of four columns."""
    model = make(frames=frames)
    output = model(**encode(model))
    assert output.frames.tolist() == [5 * frames, 8 * frames, 2 * frames]
    assert output.logits.shape == (3, 8 * frames, model.config.vocab_size)


def test_a_column_is_the_mean_of_its_real_patches() -> None:
    model = make()
    encoded = encode(model)
    with torch.no_grad():
        read = model.encoder(**encoded)
        columns, _ = model._columns(read)
    states = read.last_hidden_state[0, :10].view(2, 5, -1)  # a grid of 2 x 5, all real
    torch.testing.assert_close(columns[0, :5], states.mean(0))


def test_the_loss_is_torchs_for_each_image_alone() -> None:
    """Without the end token, over the tokens that are left."""
    model = make(frames=2)
    encoded = encode(model)
    with torch.no_grad():
        output = model(**encoded, labels=LABELS)
    targets, total = ([6, 12, 12], [14, 7], [8]), torch.zeros(())
    for row, target in enumerate(targets):
        scores = output.logits[row, : output.frames[row]].log_softmax(-1)[:, None]  # [F, 1, V]
        lengths = torch.tensor([len(scores)]), torch.tensor([len(target)])
        total += torch.nn.CTCLoss(blank=0, reduction="sum")(scores, torch.tensor([target]), *lengths)
    torch.testing.assert_close(output.loss, total / 6)
    halved = model(**encoded, labels=LABELS, num_items_in_batch=12).loss
    torch.testing.assert_close(halved.detach(), total / 12)


def test_a_text_is_the_sum_over_its_alignments() -> None:
    """Two frames and one token: token token, token blank, blank token."""
    model = make()
    encoded = {name: item[2:] for name, item in encode(model).items()}
    with torch.no_grad():
        output = model(**encoded, labels=torch.tensor([[8, 1]]))
    first, second = output.logits[0, :2].softmax(-1)
    likelihood = first[8] * second[8] + first[8] * second[0] + first[0] * second[8]
    torch.testing.assert_close(output.loss, -likelihood.log())


def test_a_text_too_long_for_its_frames_adds_nothing() -> None:
    model = make()
    encoded = {name: item[2:] for name, item in encode(model).items()}
    loss = model(**encoded, labels=torch.tensor([[8, 8, 1]])).loss  # a repeat needs a blank between: three frames
    loss.backward()
    assert loss.item() == 0
    assert all(item.grad is None or not item.grad.any() for item in model.parameters())


def test_decoding_merges_repeats_and_drops_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a collapse by hand, with frames of padding that would write more."""
    best = [[0, 5, 5, 0, 5, 6, 6, 7], [4, 4, 4, 0, 0, 9, 9, 9], [0, 0, 0, 0, 8, 8, 8, 8]]
    frames = [8, 5, 4]
    model = make()
    output = SimpleNamespace(
        logits=torch.nn.functional.one_hot(torch.tensor(best), 23).float(), frames=torch.tensor(frames)
    )
    monkeypatch.setattr(ZooForImageCTC, "forward", lambda *_, **__: output)
    by_hand = [[key for key, _ in itertools.groupby(row[:n]) if key] for row, n in zip(best, frames, strict=True)]
    assert by_hand == [[5, 5, 6, 7], [4], []]
    assert model.generate().tolist() == [[0, 5, 5, 6, 7, 1], [0, 4, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert model.generate(max_new_tokens=2).tolist() == [[0, 5, 5], [0, 4, 1], [0, 1, 0]]


def test_packed_rows_give_what_rows_of_their_own_give() -> None:
    model = make(registers=2)
    encoded = encode(model)
    packed = pack(encoded, [[0, 1], [2]])
    with torch.no_grad():
        alone, together = model(**encoded, labels=LABELS), model(**packed, labels=LABELS)
    torch.testing.assert_close(together.loss, alone.loss)
    assert torch.equal(together.frames, alone.frames)
    assert torch.equal(model.generate(**packed), model.generate(**encoded))


def test_beams_constraints_and_a_decoders_logits_are_refused() -> None:
    model = make()
    encoded = encode(model)
    with pytest.raises(InputError, match="decoded greedily: num_beams 4"):
        model.generate(**encoded, num_beams=4)
    with pytest.raises(InputError, match="decoded greedily: no_repeat_ngram_size 3"):
        model.refuse_search({"num_beams": 1, "no_repeat_ngram_size": 3})
    model.refuse_search({"no_repeat_ngram_size": 0, "repetition_penalty": 1.0, "min_new_tokens": None})
    with pytest.raises(InputError, match="no logits for each token"):
        model.target_logits(encoded, LABELS)


def test_auto_classes_load_it(tmp_path: Path) -> None:
    model = make(registers=1)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCTC.from_pretrained(tmp_path).eval()
    assert type(loaded) is ZooForImageCTC
    encoded = dict(AutoImageProcessor.from_pretrained(tmp_path)(images()))
    assert torch.equal(loaded(**encoded).logits, model(**encode(model)).logits)


def test_texts_without_a_token_give_a_loss_of_blanks() -> None:
    """A batch of blank images: minus the log-likelihood of blanks in every frame."""
    model = make()
    with torch.no_grad():
        output = model(**encode(model), labels=torch.ones(3, 1, dtype=torch.long), num_items_in_batch=1)
    scores = output.logits.log_softmax(-1)[..., 0]  # [M, F]
    expected = -sum(scores[row, :count].sum() for row, count in enumerate(output.frames.tolist()))
    torch.testing.assert_close(output.loss, expected)


@pytest.mark.parametrize(("tokens", "grid"), [(100, (2, 50)), (7, (3, 3)), (1, (1, 1))])
def test_an_image_made_up_to_be_counted_fits_the_table_of_its_positions(tokens: int, grid: tuple[int, int]) -> None:
    model = make()
    model.encoder.position.grid_limit = (grid[0], 60)
    made = model.source_of_length(tokens)
    assert made["patch_grid"][0, 0].tolist() == list(grid)
    assert made["patch_positions"].shape == (1, tokens, 2)
    assert (made["patch_positions"] < made["patch_grid"]).all()
    assert torch.isfinite(model(**made).logits).all()


def test_it_has_no_decoder_and_counts_its_operations() -> None:
    model = make()
    assert not any(name.startswith("decoder") for name, _ in model.named_parameters())
    assert parameter_counts(model).parts["encoder.patch_projection"] == 16 * (3 * 8 * 4) + 16
    counted = forward_flops(model, 12, 5)
    assert counted.parts["encoder.patch_projection"] == 2 * 12 * 96 * 16
