"""What is asked of generators of images."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.assemble import assemble
from zoo.models.configuration import NO_TOKENS
from zoo.models.generators.contracts import Generator, Shape
from zoo.models.generators.model import ZooForImageGeneration
from zoo.models.modes import evaluating
from zoo.spec import resolve_model
from zoo.spec.options import Chosen
from zoo.testing.module import TorchSuite, close
from zoo.testing.own_loss import assert_weighed_and_finite
from zoo.testing.surroundings import untouched_surroundings

SHAPE = Shape(3, 8, 16)
"""Of the images that generators are tried on: their sides differ."""


def generator_model(chosen: Chosen, seed: int = 1, shape: Shape = SHAPE) -> ZooForImageGeneration:
    """A model with the generator, as the host assembles it, in training mode."""
    section = resolve_model({"architecture": "generator", "generator": chosen.plain()})
    said = {**NO_TOKENS, "image_size": [shape.height, shape.width]}
    model = assemble(section, 1, seed=seed, token_ids=said)
    assert isinstance(model, ZooForImageGeneration)
    model.train()
    return model


def real_images(count: int, seed: int = 0, shape: Shape = SHAPE) -> Tensor:
    """One half bright, the other dark, ``[count, C, H, W]``: which, of each colour, is drawn."""
    draw = torch.Generator().manual_seed(seed)
    sides = torch.randint(2, (count, shape.channels, 1, 1), generator=draw)
    left = torch.arange(shape.width) < shape.width // 2
    bright = left == sides.bool()  # [count, C, 1, W]
    return torch.where(bright, 0.9, -0.9).expand(-1, -1, shape.height, -1).contiguous()


class GeneratorSuite(TorchSuite):
    """Generators: see `zoo.models.generators.contracts.Generator`. Each is tried in a `ZooForImageGeneration`."""

    kind: ClassVar[str] = "generator"

    def model(self, chosen: Chosen, seed: int = 1) -> ZooForImageGeneration:
        """The model, in training mode."""
        model = generator_model(chosen, seed)
        assert isinstance(model.generator, Generator)
        return model

    def images(self, model: ZooForImageGeneration, count: int = 3, seed: int = 0) -> Tensor:
        """What it makes."""
        with evaluating(model):
            return model.generate_images(count, seed)

    def steps(self, model: ZooForImageGeneration, count: int, start: int = 0) -> list[float]:
        """The losses of so many optimizer steps, as the host takes them."""
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        losses = []
        for step in range(start, start + count):
            optimizer.zero_grad()
            loss = model(real_images(4, seed=step)).loss
            loss.backward()
            optimizer.step()
            model.after_step(step + 1)
            losses.append(float(loss.detach()))
        return losses

    def test_losses_and_gradients_are_finite(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        assert_weighed_and_finite(model, model(real_images(4)), model.generator.weights)

    def test_the_loss_of_a_step_is_counted_by_its_images(self, chosen: Chosen) -> None:
        model = self.model(chosen).eval()  # the same noise each time
        mean = model(real_images(4)).loss
        close(model(real_images(4), num_items_in_batch=8).loss.detach(), mean.detach() / 2, 1e-5)

    def test_a_development_loss_needs_no_gradients_and_is_the_same_each_time(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        with untouched_surroundings(), evaluating(model):
            first = model(real_images(4)).loss
            assert not first.requires_grad
            assert torch.equal(first, model(real_images(4)).loss)

    def test_images_are_of_their_shape_and_decided_by_the_seed_alone(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        with untouched_surroundings():
            first = self.images(model)
        assert first.shape == (3, SHAPE.channels, SHAPE.height, SHAPE.width)
        assert torch.isfinite(first).all()
        assert ((first >= -1) & (first <= 1)).all()
        torch.rand(3)
        assert torch.equal(first, self.images(model))
        assert not torch.equal(first, self.images(model, seed=1))

    def test_it_says_what_an_image_costs(self, chosen: Chosen) -> None:
        model = self.model(chosen)
        calls = 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        handle = model.generator.sampler.register_forward_hook(count)
        self.images(model)
        handle.remove()
        assert calls == model.generator.evaluations

    def test_a_seed_gives_the_same_weights_and_leaves_randomness_alone(self, chosen: Chosen) -> None:
        with untouched_surroundings():
            first = generator_model(chosen, seed=5)
        torch.rand(3)
        second, other = generator_model(chosen, seed=5), generator_model(chosen, seed=6)
        pairs = list(zip(first.state_dict().values(), second.state_dict().values(), strict=True))
        assert all(torch.equal(one, two) for one, two in pairs)
        assert any(not torch.equal(one, two) for one, two in zip(first.parameters(), other.parameters(), strict=True))

    def test_saved_and_loaded_it_makes_the_same_and_goes_on_the_same(self, chosen: Chosen, tmp_path: Path) -> None:
        model = self.model(chosen)
        torch.manual_seed(3)
        self.steps(model, 2)
        model.save_pretrained(tmp_path)
        loaded = ZooForImageGeneration.from_pretrained(tmp_path)
        assert torch.equal(self.images(loaded), self.images(model))
        loaded.train()
        torch.manual_seed(4)
        first = self.steps(model, 2, start=2)
        torch.manual_seed(4)
        assert self.steps(loaded, 2, start=2) == first
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), loaded.parameters(), strict=True))

    def test_a_shape_that_it_cannot_make_is_refused_in_words(self, chosen: Chosen) -> None:
        message = ""
        try:
            model = generator_model(chosen, shape=Shape(3, 2, 3))
            assert self.images(model).shape[-2:] == (2, 3)
        except InputError as error:
            message = str(error)
        assert not message or "2 x 3" in message, "it says which shape"
