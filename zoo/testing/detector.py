"""What is asked of detectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from zoo.models._compat import compute_layers_again
from zoo.models.assemble import assemble
from zoo.models.detection.choosing import chosen as pick
from zoo.models.detection.contracts import Detector, Found, Labels, corners
from zoo.models.detection.model import ZooForObjectDetection
from zoo.spec import resolve_model
from zoo.spec.options import Chosen
from zoo.testing.module import TorchSuite, close, random_tensor
from zoo.testing.own_loss import assert_weighed_and_finite
from zoo.testing.surroundings import untouched_surroundings

CATEGORIES = {3: "line", 8: "figure"}
"""Numbers of the data that are not those of classes."""


def detector_model(chosen: Chosen, seed: int = 1, **pixels: Any) -> ZooForObjectDetection:
    """A model with the detector, as the host assembles it."""
    plain = {"architecture": "detector", "detector": chosen.plain(), "pixels": pixels}
    classes = {"categories": list(CATEGORIES), "id2label": dict(enumerate(CATEGORIES.values()))}
    model = assemble(resolve_model(plain), len(CATEGORIES), seed=seed, token_ids=classes)
    assert isinstance(model, ZooForObjectDetection)
    return model


def some_images(count: int = 2, height: int = 64, width: int = 96) -> dict[str, Tensor]:
    """Noise that fills the frame."""
    mask = torch.ones(count, height, width, dtype=torch.bool)
    return {"pixel_values": random_tensor(count, 3, height, width), "pixel_mask": mask}


def labels_of(*counts: int) -> list[Labels]:
    """So many boxes in each image."""
    boxes = torch.tensor([[0.5, 0.4, 0.6, 0.3], [0.25, 0.8, 0.4, 0.2], [0.8, 0.8, 0.1, 0.1]])
    return [{"class_labels": torch.arange(count) % 2, "boxes": boxes[:count]} for count in counts]


class DetectorSuite(TorchSuite):
    """Detectors: see `zoo.models.detection.contracts.Detector`. Each is tried in a `ZooForObjectDetection`."""

    kind: ClassVar[str] = "detector"

    def model(self, chosen: Chosen) -> ZooForObjectDetection:
        """The model, in evaluation mode."""
        model = detector_model(chosen)
        assert isinstance(model.detector, Detector)
        model.eval()
        return model

    def found(self, model: ZooForObjectDetection, images: Mapping[str, Tensor]) -> list[Found]:
        """What is found, uncut, surest first."""
        with torch.no_grad():
            return model.detector.found(model.detector(**images))

    @pytest.mark.parametrize("counts", [(3, 1), (2, 0), (0, 0)])
    def test_losses_and_gradients_are_finite_whatever_there_is_to_find(
        self, chosen: Chosen, counts: tuple[int, int]
    ) -> None:
        model = self.model(chosen)
        assert_weighed_and_finite(model, model(**some_images(), labels=labels_of(*counts)), model.detector.weights)

    def test_losses_have_the_same_names_in_training_and_are_finite(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        names = set(model(**some_images(), labels=labels_of(1, 0)).losses)
        model.train()
        for counts in ((2, 0), (0, 0)):
            losses = model(**some_images(), labels=labels_of(*counts)).losses
            assert set(losses) == names
            assert all(torch.isfinite(value) for value in losses.values()), counts

    def test_a_few_steps_bring_the_surest_boxes_nearer(self, chosen: Chosen) -> None:
        """The losses themselves need not fall: what a matcher asks for grows with what it is given."""
        model = self.model(chosen)
        images, labels = some_images(), labels_of(2, 1)
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        before = surest_overlap(self.found(model, images), labels)
        for _ in range(40):
            optimizer.zero_grad()
            model(**images, labels=labels).loss.backward()
            optimizer.step()
        after = surest_overlap(self.found(model, images), labels)
        assert after > before + 0.05, f"overlap {before:.3f} before, {after:.3f} after"

    def test_mixed_precision_gives_losses_in_single_of_like_size(self, chosen: Chosen) -> None:
        """As training with `precision: bf16` has them, matcher and box loss included. Queries may be other ones, where
        a detector chooses them."""
        model, images = self.model(chosen), some_images()
        with torch.no_grad():
            exact = model(**images, labels=labels_of(3, 1))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                mixed = model(**images, labels=labels_of(3, 1))
        assert mixed.loss.dtype == torch.float32
        for name, value in exact.losses.items():
            assert mixed.losses[name].dtype == torch.float32, name
            close(mixed.losses[name], value, 0.3, name)

    @pytest.mark.parametrize("label", [0, 1])
    def test_the_class_that_is_taught_is_the_one_that_is_found(self, chosen: Chosen, label: int) -> None:
        model = self.model(chosen)
        labels = [{**item, "class_labels": torch.full_like(item["class_labels"], label)} for item in labels_of(2, 1)]
        for found in self.learning(model, labels):
            if all(int(item.labels[0]) == label for item in found):
                return
        pytest.fail(f"the surest boxes are of the classes {[int(item.labels[0]) for item in found]}")

    def test_boxes_take_the_shape_that_is_taught(self, chosen: Chosen) -> None:
        """Wide ones or tall ones, about one centre: being sure of the right place alone does not do it."""
        seen = []
        for wide in (True, False):
            sides = (0.8, 0.2) if wide else (0.2, 0.8)
            labels = [{"class_labels": torch.tensor([0]), "boxes": torch.tensor([[0.5, 0.5, *sides]])}] * 2
            for found in self.learning(self.model(chosen), labels):
                width, height = torch.stack([item.boxes[0, 2:] for item in found]).mean(0).tolist()
                if (width > 1.5 * height) if wide else (height > 1.5 * width):
                    break
            else:
                seen.append(f"{width:.3f} x {height:.3f} where {sides} are taught")
        assert not seen, f"the surest boxes are {' and '.join(seen)}"

    def learning(self, model: ZooForObjectDetection, labels: Sequence[Labels]) -> Iterator[list[Found]]:
        """What is found in two images after every tenth of up to 60 steps."""
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        for step in range(1, 61):
            optimizer.zero_grad()
            model(**some_images(), labels=labels).loss.backward()
            optimizer.step()
            if step % 10 == 0:
                yield self.found(model, some_images())

    def test_what_is_found_is_sorted_and_of_the_classes(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        for item in self.found(model, some_images()):
            count = len(item.scores)
            assert count, "an untrained detector finds something, if unsure of it"
            assert (item.labels.shape, item.boxes.shape) == ((count,), (count, 4))
            assert ((item.scores >= 0) & (item.scores <= 1)).all()
            assert (item.scores.diff() <= 0).all(), "not surest first"
            assert model.detector.most is None or count <= model.detector.most, "more boxes than it says"
            assert ((item.labels >= 0) & (item.labels < len(CATEGORIES))).all()
            assert torch.isfinite(item.boxes).all()
        for item in model.detect(**some_images()):
            half = item.boxes[:, 2:] / 2
            assert (item.boxes[:, :2] - half >= -1e-6).all(), "the host cuts boxes to the image"
            assert (item.boxes[:, :2] + half <= 1 + 1e-6).all()

    def test_what_is_found_is_what_is_chosen_from_its_scores_and_boxes(self, chosen: Chosen) -> None:
        """Where it says how: an export has the scores and boxes, and chooses by that."""
        model = self.model(chosen)
        if model.detector.choice is None:
            pytest.skip("it does not say how: it cannot be exported")
        with torch.no_grad():
            predictions = model.detector(**some_images())
            scored = model.detector.scored(predictions)
            found = model.detector.found(predictions)
        images, boxes, _ = scored.boxes.shape
        assert images == 2
        assert scored.scores.shape == (images, boxes, len(CATEGORIES))
        assert scored.real.shape == (images, boxes)
        assert scored.real.dtype == torch.bool
        picked = pick(scored, corners(scored.boxes), model.detector.choice)
        for mine, one, of_image in zip(found, picked, scored.boxes, strict=True):
            assert torch.equal(mine.scores, one.scores), "other boxes are found than its choice says"
            assert torch.equal(mine.labels, one.labels), "other classes are found than its choice says"
            assert torch.equal(mine.boxes, of_image[one.places]), "other boxes are found than its choice says"

    def test_images_of_a_batch_do_not_see_each_other(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        both = some_images()
        together = self.found(model, both)
        for number in range(2):
            alone = self.found(model, {name: value[number : number + 1] for name, value in both.items()})
            same_found(together[number], alone[0], f"image {number}")

    def test_padding_changes_nothing_where_that_is_claimed(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        if not model.detector.padding_invariant:
            pytest.skip("it does not claim to leave padding out")
        image = random_tensor(1, 3, 50, 70)
        frames = [(50, 70), (64, 96), (128, 160)]
        answers = []
        for height, width in frames:
            pixels, mask = torch.zeros(1, 3, height, width), torch.zeros(1, height, width, dtype=torch.bool)
            pixels[..., :50, :70], mask[..., :50, :70] = image, True
            answers.append(self.found(model, {"pixel_values": pixels, "pixel_mask": mask})[0])
        for frame, answer in zip(frames[1:], answers[1:], strict=True):
            same_found(answers[0], answer, f"in {frame}")

    def test_a_seed_gives_the_same_weights_and_leaves_randomness_alone(self, chosen: Chosen) -> None:
        with untouched_surroundings():
            first = detector_model(chosen, seed=5)
        torch.rand(3)
        second, other = detector_model(chosen, seed=5), detector_model(chosen, seed=6)
        pairs = list(zip(first.state_dict().values(), second.state_dict().values(), strict=True))
        assert all(torch.equal(one, two) for one, two in pairs)
        assert any(not torch.equal(one, two) for one, two in zip(first.parameters(), other.parameters(), strict=True))

    def test_saved_and_loaded_it_finds_the_same(self, chosen: Chosen, tmp_path: Path) -> None:
        model = self.model(chosen)
        model.save_pretrained(tmp_path)
        loaded = ZooForObjectDetection.from_pretrained(tmp_path)
        assert loaded.categories == list(CATEGORIES)
        assert {int(key): name for key, name in loaded.config.id2label.items()} == {0: "line", 1: "figure"}
        for one, two in zip(self.found(model, some_images()), self.found(loaded.eval(), some_images()), strict=True):
            assert torch.equal(one.scores, two.scores)
            assert torch.equal(one.boxes, two.boxes)

    def test_layers_that_are_computed_again_give_the_same_gradients(self, chosen: Chosen) -> None:
        model = self.model(chosen).train()
        if not any(hasattr(module, "gradient_checkpointing") for module in model.modules()):
            pytest.skip("it has no layers that can be computed again")
        found = []
        for again in (False, True):
            if again:
                compute_layers_again(model)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)  # for dropout
                model.zero_grad()
                model(**some_images(), labels=labels_of(3, 1)).loss.backward()
            found.append({name: item.grad for name, item in model.named_parameters() if item.grad is not None})
        assert found[0].keys() == found[1].keys()
        for name, gradient in found[0].items():
            close(found[1][name], gradient, 1e-5, name)

    def test_an_image_smaller_than_its_strides_is_read(self, chosen: Chosen) -> None:
        assert len(self.found(self.model(chosen), some_images(1, 1, 3))) == 1


def same_found(one: Found, other: Found, message: str) -> None:
    """Assert that both are the same up to rounding: boxes of equal scores may change places, and the least sure ones
    may fall on one side of a bound or the other."""
    count = min(len(one.scores), len(other.scores), 20)
    close(one.scores[:count], other.scores[:count], 1e-4, f"{message}: scores")
    for score, label, box in zip(one.scores[:count], one.labels, one.boxes, strict=False):
        like = ((other.scores - score).abs() < 1e-4) & (other.labels == label)
        nearest = (other.boxes[like] - box).abs().amax(-1)
        assert len(nearest), f"{message}: no box of the score {score:.4f}"
        assert nearest.min() < 1e-4, f"{message}: the box of the score {score:.4f} is off by {nearest.min():.3g}"


def surest_overlap(found: list[Found], labels: list[Labels]) -> float:
    """The mean, over all true boxes, of the largest overlap with one of the image's three surest boxes."""
    largest = []
    for item, one in zip(found, labels, strict=True):
        low, high = (corners(boxes).reshape(-1, 2, 2) for boxes in (item.boxes[:3], one["boxes"]))
        sides = torch.minimum(low[:, None, 1], high[None, :, 1]) - torch.maximum(low[:, None, 0], high[None, :, 0])
        inner = sides.clamp(min=0).prod(-1)  # [k, n]
        areas = [(boxes[:, 1] - boxes[:, 0]).prod(-1) for boxes in (low, high)]
        largest.append((inner / (areas[0][:, None] + areas[1] - inner)).amax(0))
    return float(torch.cat(largest).mean())
