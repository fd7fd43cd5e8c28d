"""Each method learns a small problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from zoo_generative.consistency import Consistency, noise_levels, solved
from zoo_generative.digits import rendering
from zoo_generative.digits.reader import load
from zoo_generative.digits.task import PreparedDigits, StackedImage
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


def chosen(name: str, **options: Any) -> Chosen:
    record = current_registry().get("generator", f"zoo-generative/{name}")
    return Chosen(record, record.load_options().model_validate(options))


def step(model: Generator, optimizer: torch.optim.Optimizer, images: Tensor) -> None:
    optimizer.zero_grad()
    losses = model.losses(images)
    sum(losses[key] * weight for key, weight in model.weights.items()).backward()  # type: ignore[union-attr]
    optimizer.step()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "betas", "steps", "least"),
    [
        pytest.param("nsgan", {"r1": 1.0}, (0.5, 0.99), 200, 9, marks=pytest.mark.soak),
        ("r3gan", {}, (0.0, 0.99), 150, 13),
    ],
)
def test_a_game_makes_digits_of_many_kinds(
    name: str,
    options: dict[str, Any],
    betas: tuple[float, float],
    steps: int,
    least: int,
    digits: PreparedDigits,
) -> None:
    """Of 27 modes. Digits stand on black, a bound of the images' range: makers that cannot come back from there make
    nothing else."""
    pool = torch.from_numpy(rendering.rendered(3, 100, 16, np.random.default_rng(1))).float() / 127.5 - 1
    draw = torch.Generator().manual_seed(3)
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = chosen(name, width=8, latent=16, **options).create(Shape(3, 16, 16))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=betas)
        for _ in range(steps):
            kinds, variants = (torch.randint(most, (32, 3), generator=draw) for most in (3, 100))
            step(model, optimizer, pool[kinds, variants])
        with torch.no_grad():
            made = model.eval().generate(500, torch.Generator().manual_seed(2)).clamp(-1, 1)
    pixels = ((made + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    image = digits.examples("test")[0].image
    assert isinstance(image, StackedImage)
    read = load(image.reader)[0].read(list(pixels))  # [N, 3]
    shown = read[(read < 3).all(1)]
    assert len(shown) >= 100
    assert len(np.unique(shown, axis=0)) >= least


@pytest.mark.slow
def test_diffusion_makes_the_images_that_it_has_seen() -> None:
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = chosen("ddpm", width=16, steps=100, sampling_steps=20).create(SHAPE)
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, betas=(0.5, 0.99))
        for number in range(300):
            step(model, optimizer, real_images(32, seed=number, shape=SHAPE))
        with torch.no_grad():
            found = modes(model.eval().generate(400, torch.Generator().manual_seed(2)))
    assert (found > 0).all(), found.tolist()
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
