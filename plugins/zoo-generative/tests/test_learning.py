"""Each method learns a distribution of eight images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.models.generators.contracts import Generator, Shape
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.testing.generator import real_images
from zoo.testing.surroundings import one_thread

SHAPE = Shape(3, 4, 4)


def modes(images: Tensor) -> Tensor:
    """``[8]``: how many of ``[N, 3, 4, 4]`` show each mode; those that are near none are not counted."""
    halves = images.unflatten(3, (2, 2)).mean((2, 4))  # [N, C, 2]
    apart = halves[..., 0] - halves[..., 1]  # [N, C], 1.8 or -1.8 in data
    number = ((apart > 0).long() * torch.tensor([4, 2, 1])).sum(1)
    return torch.bincount(number[((apart.abs() - 1.8).abs() < 0.6).all(1)], minlength=8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "steps", "rate"),
    [
        ("nsgan", {"latent": 8}, 300, 1e-3),
        ("r3gan", {"latent": 8}, 300, 1e-3),
        ("ddpm", {"steps": 100, "sampling_steps": 20}, 300, 3e-3),
        ("consistency", {"teacher_steps": 250}, 500, 3e-3),
    ],
)
def test_it_makes_the_images_that_it_has_seen(name: str, options: dict[str, Any], steps: int, rate: float) -> None:
    record = current_registry().get("generator", f"zoo-generative/{name}")
    chosen = Chosen(record, record.load_options().model_validate({"width": 16, **options}))
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model: Generator = chosen.create(SHAPE)
        optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.5, 0.99))
        for step in range(steps):
            optimizer.zero_grad()
            losses = model.losses(real_images(32, seed=step, shape=SHAPE))
            sum(losses[key] * weight for key, weight in model.weights.items()).backward()  # type: ignore[union-attr]
            optimizer.step()
            with torch.no_grad():
                model.after_step(step + 1)
        with torch.no_grad():
            found = modes(model.eval().generate(400, torch.Generator().manual_seed(2)))
    print(name, found.tolist())
    # The plain game is known to lose modes.
    assert (found > 0).sum() >= (4 if name == "nsgan" else 8), found.tolist()
    assert found.sum() >= 200, found.tolist()
