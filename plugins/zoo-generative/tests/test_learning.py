"""Each method learns a small problem."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from zoo_generative.consistency import Consistency, noise_levels, solved
from zoo_generative.options import ConsistencyOptions

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
        pytest.param("nsgan", {"latent": 8, "r1": 1.0}, 300, 1e-3, marks=pytest.mark.soak),
        ("r3gan", {"latent": 8}, 300, 1e-3),
        ("ddpm", {"steps": 100, "sampling_steps": 20}, 300, 3e-3),
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
    # The plain game is known to lose modes; without any penalty it makes none of these in so few steps.
    assert (found > 0).sum() >= (4 if name == "nsgan" else 8), found.tolist()
    assert found.sum() >= 200, found.tolist()


@pytest.mark.slow
def test_a_student_learns_where_its_teachers_steps_end() -> None:
    """On normal data, whose denoiser is known: in one evaluation, from the highest level and from one between."""
    deviation = 0.8
    options = ConsistencyOptions(width=16, teacher_steps=1, levels=8, sigma_max=10.0, sigma_data=deviation)
    levels = torch.as_tensor(noise_levels(options), dtype=torch.float32)

    def exact(images: Tensor, sigma: Tensor) -> Tensor:
        return deviation**2 / (deviation**2 + sigma[:, None, None, None] ** 2) * images

    def ended(images: Tensor, number: int) -> Tensor:
        for at in range(number, 0, -1):
            images = solved(exact, images, levels[at].expand(len(images)), levels[at - 1].expand(len(images)), "heun")
        return images

    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Consistency(options, SHAPE)
        model.teacher.forward = exact  # type: ignore[method-assign]
        with torch.no_grad():
            model.after_step(1)
        optimizer = torch.optim.Adam(model.student.parameters(), lr=2e-3)
        for step in range(400):
            optimizer.zero_grad()
            model.losses(deviation * torch.randn(32, 3, 4, 4))["consistency"].backward()
            optimizer.step()
            with torch.no_grad():
                model.after_step(step + 2)
        with torch.no_grad():
            for number in (7, 5):
                spread = levels[number] if number == 7 else (deviation**2 + levels[number] ** 2).sqrt()
                noisy = spread * torch.randn(400, 3, 4, 4)
                expected, sigma = ended(noisy, number), levels[number].expand(400)
                error = F.mse_loss(model.student(noisy, sigma), expected)
                # A denoiser answers with the mean of all images that it may have been: far shorter.
                assert error < 0.2 * F.mse_loss(exact(noisy, sigma), expected), number
            made = model.eval().generate(1000, torch.Generator().manual_seed(2))
            expected = ended(levels[7] * torch.randn(1000, 3, 4, 4), 7)
    assert made.std().item() == pytest.approx(expected.std().item(), rel=0.1)
