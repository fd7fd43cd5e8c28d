"""From the kit's image task to batches of patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from zoo.errors import InputError
from zoo.models.vision.packing import unpacking
from zoo.models.vision.processor import ZooImageProcessor
from zoo.registry import use_registry
from zoo.spec import Spec
from zoo.tasks import DataHome, Example
from zoo.testing.glyphs import with_glyphs
from zoo.training.data.collate_images import ImageBatch, ImageCollator
from zoo.training.data.encoded import encoded_images
from zoo.training.data.images import EncodedImages, frames_needed
from zoo.training.data.layouts import Images
from zoo.training.data.loader import Loader, batches_for
from zoo.training.data.ragged import Ragged, offsets_of
from zoo.training.preparation import prepare

START = 7


@dataclass(frozen=True)
class Data:
    spec: Spec
    processor: ZooImageProcessor
    tokenizer: Any
    examples: tuple[Example, ...]
    home: DataHome

    def encoded(self, max_tokens: int = 100, **changes: Any) -> EncodedImages:
        given = {"tokenizer": self.tokenizer, "grid": self.processor.grid, "examples": lambda: self.examples, **changes}
        return encoded_images(self.home, "revision", "train", max_tokens=max_tokens, **given)

    def collator(self, examples: EncodedImages) -> ImageCollator:
        return ImageCollator(examples, self.processor, pad_id=0, start_id=START)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_glyphs()):
        yield


@pytest.fixture(scope="module")
def data(_registered: None, glyph_spec: Callable[..., Spec], tmp_path_factory: pytest.TempPathFactory) -> Data:
    home = DataHome(tmp_path_factory.mktemp("home"))
    spec = glyph_spec(**{"task.train": 40, "task.dev": 5, "task.test": 5, "model.image.patch.width": 2})
    prepared = prepare(spec, home)
    assert spec.model.image is not None
    processor = ZooImageProcessor.of(spec.model.image)
    return Data(spec, processor, prepared.tokenizers.target, tuple(prepared.task.examples("train")), home)


def columns(example: Example) -> int:
    """Patches of a word's image: 2 pixels wide, as high as the image; 5 dots of 2 pixels a letter, and one dot more."""
    return 5 * len(example.target) + 1


def test_images_go_with_their_targets_and_long_targets_are_left_out(data: Data) -> None:
    encoded = data.encoded(max_tokens=5)  # four letters and the end
    kept = [example for example in data.examples if len(example.target) <= 4]
    assert 0 < len(kept) < len(data.examples)
    assert (len(encoded), encoded.dropped) == (len(kept), len(data.examples) - len(kept))
    for index, example in enumerate(kept):
        assert data.tokenizer.decode(encoded.targets[index], skip_special_tokens=True) == example.target
        assert encoded.images[index] is example.image
    assert encoded.patches.tolist() == [columns(example) for example in kept]


def test_ids_are_made_once_for_every_size_of_patches(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data.encoded()
    monkeypatch.setattr("zoo.training.data.encoded.write_images", None)
    doubled = data.encoded(grid=lambda height, width: (2, data.processor.grid(height, width)[1]))
    assert np.array_equal(doubled.patches, 2 * first.patches)
    assert np.array_equal(doubled.targets.ids, first.targets.ids)


def test_an_example_without_an_image_is_named(data: Data) -> None:
    without = (data.examples[0], replace(data.examples[1], image=None))
    with pytest.raises(InputError, match=r"example 'train/1' has no image"):
        data.encoded(examples=lambda: without, max_tokens=99)


def test_a_batch_holds_each_images_patches_and_its_target(data: Data) -> None:
    encoded = data.encoded()
    chosen = np.array([3, 0, 5])
    batch = data.collator(encoded)(chosen)
    assert batch.source_tokens == sum(columns(data.examples[index]) for index in chosen)
    for row, index in enumerate(chosen):
        alone = data.processor([data.examples[index].image.load()])
        real = batch.patch_mask[row]
        assert torch.equal(batch.pixel_values[row][real], alone["pixel_values"][0])
        assert torch.equal(batch.patch_positions[row][real], alone["patch_positions"][0])
        target = encoded.targets[index].tolist()
        assert batch.labels[row][: len(target)].tolist() == target
        assert batch.labels[row][len(target) :].eq(-100).all()
        assert batch.decoder_input_ids[row][: len(target)].tolist() == [START, *target[:-1]]


@pytest.mark.parametrize("packing", [False, True], ids=["plain", "packed"])
def test_patches_stay_within_the_budget_and_each_image_comes_once(data: Data, packing: bool) -> None:
    encoded, layout = data.encoded(), Images(data.processor, decoder=True)
    batches = batches_for(encoded, 600, 3, packing=packing, layout=layout)
    made = batches.micro_batches(0)
    assert sorted(np.concatenate([item.indices for item in made]).tolist()) == list(range(len(encoded)))
    collate = data.collator(encoded)
    tensors = [collate(item) for item in made]
    assert max(item.patch_mask.numel() for item in tensors) <= 600
    places = sum(item.patch_mask.numel() + item.labels.numel() for item in tensors)
    real = sum(item.source_tokens + item.target_tokens for item in tensors)
    assert batches.padding_share() == pytest.approx(1 - real / places)


@pytest.mark.parametrize("decoder", [True, False], ids=["decoder", "ctc"])
def test_one_large_image_among_small_ones_is_not_unpacked_into_many_times_the_budget(data: Data, decoder: bool) -> None:
    """Unpacked, each image is as long as the longest of its batch: 40 times 100 patches, if all share a row of 400."""
    encoded = replace(data.encoded(), patches=np.array([100] + [6] * 39))
    batches = batches_for(encoded, 400, 3, packing=True, layout=Images(data.processor, decoder=decoder))
    places = []
    for batch in batches.micro_batches(0):
        assert batch.rows is not None
        assert len(batch.rows) == 2, "one row"
        numbers = np.repeat(np.arange(1, len(batch.indices) + 1), encoded.patches[batch.indices])
        index, _ = unpacking(torch.from_numpy(numbers)[None])  # [M, S]
        places.append(index.numel())
    assert max(places) <= 4 * 400


def test_packed_rows_hold_the_patches_of_their_images_in_order(data: Data) -> None:
    encoded, layout = data.encoded(), Images(data.processor, decoder=True)
    packed = batches_for(encoded, 600, 3, packing=True, layout=layout).micro_batches(0)[0]
    assert packed.rows is not None
    assert len(packed.indices) > len(packed) > 1
    batch, apart = data.collator(encoded)(packed), data.collator(encoded)(packed.indices)
    assert batch.segments is not None
    assert batch.labels.shape == apart.labels.shape
    assert torch.equal(batch.labels, apart.labels)
    for row in range(len(packed)):
        for number, image in enumerate(range(packed.rows[row], packed.rows[row + 1]), start=1):
            mine = batch.segments[row] == number
            count = int(encoded.patches[packed.indices[image]])
            for name in ("pixel_values", "patch_positions", "patch_grid", "patch_mask"):
                assert torch.equal(getattr(batch, name)[row][mine], getattr(apart, name)[image][:count]), name


@pytest.mark.slow
def test_workers_make_the_batches_that_the_process_itself_makes(data: Data) -> None:
    encoded, layout = data.encoded(), Images(data.processor, decoder=True)
    batches = batches_for(encoded, 300, 3, layout=layout)
    loaders = [Loader(encoded, batches, data.collator(encoded), 4, workers=workers) for workers in (0, 1)]
    for mine, theirs in zip(*loaders, strict=True):
        for one, other in zip(mine.shares, theirs.shares, strict=True):
            assert isinstance(other.batch, ImageBatch)
            assert (one.tokens, one.target_tokens) == (other.tokens, other.target_tokens)
            for name, tensor in one.batch.model_inputs().items():
                assert torch.equal(tensor, other.batch.model_inputs()[name]), name


def test_ctc_needs_a_frame_for_each_token_and_one_between_two_that_are_equal() -> None:
    texts = [[5, 6, 1], [5, 5, 5, 1], [1], [1], [6, 5, 5, 1]]  # the end, 1, is not written
    targets = Ragged(np.concatenate(texts).astype(np.int32), offsets_of(np.array([len(text) for text in texts])))
    assert frames_needed(targets).tolist() == [2, 5, 0, 0, 4]
