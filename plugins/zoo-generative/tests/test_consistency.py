"""Consistency distillation against the papers' formulas."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo_generative.consistency import Consistency, Scaled, denoising_loss, noise_levels, solved
from zoo_generative.options import ConsistencyOptions

from zoo.models.generators.contracts import Shape

SHAPE = Shape(3, 4, 8)


class Told(nn.Module):
    """A network that answers with what it is told."""

    def forward(self, images: Tensor, times: Tensor) -> Tensor:
        return images.sin() * 3 + times[:, None, None, None]


def made(**changes: object) -> Consistency:
    torch.manual_seed(1)
    model = Consistency(ConsistencyOptions(width=4, teacher_steps=2, **changes), SHAPE)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def test_at_the_lowest_level_an_image_is_itself() -> None:
    """Whatever the network says: Song et al. 2023, equation 5."""
    images = torch.randn(4, 3, 4, 8)
    assert torch.equal(Scaled(Told(), 0.5, 0.002)(images, torch.full((4,), 0.002)), images)
    assert not torch.equal(Scaled(Told(), 0.5, 0.002)(images, torch.full((4,), 0.1)), images)


def test_a_denoiser_is_scaled_as_in_the_paper() -> None:
    """Karras et al. 2022, table 1."""
    images, sigma = torch.randn(1, 3, 4, 8, dtype=torch.float64), 1.7
    total = sigma**2 + 0.5**2
    said = Told()(images / np.sqrt(total), torch.tensor([1000 * np.log(sigma) / 4]))
    expected = 0.25 / total * images + sigma * 0.5 / np.sqrt(total) * said
    found = Scaled(Told(), 0.5)(images, torch.tensor([sigma], dtype=torch.float64))
    torch.testing.assert_close(found, expected)


def test_denoising_errors_weigh_as_in_the_paper() -> None:
    """Karras et al. 2022, equation 2 with the weight of table 1: the loss is taken of what the network itself says."""
    images, noise = torch.randn(2, 6, 3, 4, 8, dtype=torch.float64)
    levels = torch.rand(6, dtype=torch.float64) * 3 + 0.01
    denoiser = Scaled(Told(), 0.5)
    errors = (denoiser(images + levels[:, None, None, None] * noise, levels) - images).square().mean((1, 2, 3))
    expected = ((levels**2 + 0.25) / (levels * 0.5) ** 2 * errors).mean()
    # The loss itself is taken in float32.
    assert denoising_loss(denoiser, images, levels, noise).item() == pytest.approx(expected.item(), rel=1e-5)


def test_levels_are_the_papers() -> None:
    levels = noise_levels(ConsistencyOptions(teacher_steps=1))
    assert len(levels) == 18
    assert levels[[0, -1]] == pytest.approx([0.002, 80.0])
    i = 6  # the seventh of 1 to N
    expected = (0.002 ** (1 / 7) + i / 17 * (80 ** (1 / 7) - 0.002 ** (1 / 7))) ** 7
    assert levels[i] == pytest.approx(expected)


@pytest.mark.parametrize(("solver", "order"), [("euler", 2), ("heun", 3)])
def test_a_step_of_the_solver_errs_by_its_order(solver: str, order: int) -> None:
    """On normal data of deviation s all is known: the denoiser, and the path x(t) ~ sqrt(s^2 + t^2)."""
    deviation, start = 0.6, 1.5
    at = partial(torch.tensor, dtype=torch.float64)

    def denoiser(images: Tensor, levels: Tensor) -> Tensor:
        return deviation**2 / (deviation**2 + levels[:, None, None, None] ** 2) * images

    def error(step: float) -> float:
        image = torch.ones(1, 1, 1, 1, dtype=torch.float64)
        found = solved(denoiser, image, at([start]), at([start - step]), solver)
        exact = np.sqrt((deviation**2 + (start - step) ** 2) / (deviation**2 + start**2))
        return abs(found.item() - exact)

    assert error(0.02) / error(0.01) == pytest.approx(2**order, rel=0.1)


def test_only_the_teacher_learns_first_and_then_only_the_student() -> None:
    model, images = made(), torch.rand(4, 3, 4, 8) * 2 - 1
    for step, (learns, rests) in enumerate([("teacher", "student")] * 2 + [("student", "teacher")] * 2):
        model.zero_grad()
        sum(model.losses(images).values()).backward()  # type: ignore[union-attr]
        assert all(item.grad is not None for item in getattr(model, learns).parameters()), learns
        assert all(item.grad is None for item in getattr(model, rests).parameters()), rests
        assert all(item.grad is None for item in model.target.parameters())
        with torch.no_grad():
            model.after_step(step + 1)


def test_the_student_begins_as_the_teacher_and_is_followed() -> None:
    model = made(target_decay=0.75)
    with torch.no_grad():
        model.after_step(1)
        before = next(model.student.parameters()).clone()
        assert not torch.equal(before, next(model.teacher.parameters()))
        model.after_step(2)
        for one, two, three in zip(
            model.teacher.parameters(), model.student.parameters(), model.target.parameters(), strict=True
        ):
            assert torch.equal(one, two)
            assert torch.equal(one, three)
        for item in model.student.parameters():
            item.add_(1.0)
        model.after_step(3)
        for taught, item in zip(model.teacher.parameters(), model.target.parameters(), strict=True):
            torch.testing.assert_close(item, 0.75 * taught + 0.25 * (taught + 1))


@pytest.mark.parametrize("steps", [1, 3])
def test_a_student_that_knows_the_image_gives_it_in_any_number_of_steps(steps: int) -> None:
    """And is asked at the levels of algorithm 1, the highest first, with noise of the level added anew each time."""
    model = made(sampling_steps=steps, levels=7)
    known, asked = torch.rand(3, 4, 8), []

    def knowing(noisy: Tensor, levels: Tensor) -> Tensor:
        spread = (noisy - (known if asked else 0)).std().item()
        asked.append((levels[0].item(), spread))
        return known.expand(len(noisy), -1, -1, -1)

    model.student.forward = knowing  # type: ignore[method-assign]
    assert torch.equal(model.generate(40, torch.Generator().manual_seed(2))[3], known)
    levels = noise_levels(model.options)[[6] if steps == 1 else [6, 4, 2]]
    assert [level for level, _ in asked] == pytest.approx(levels.tolist())
    assert [spread for _, spread in asked] == pytest.approx(levels.tolist(), rel=0.05)
