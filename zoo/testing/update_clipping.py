"""What is asked of update clippings."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from zoo.spec.options import Chosen
from zoo.testing.module import close, random_tensor
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings
from zoo.training.clipped_updates import ClippedUpdates
from zoo.training.contracts import UpdateClipping

EPS = 1e-8
_RATE, _BETA, _DECAY = 0.1, 0.9, 0.01


class UpdateClippingSuite(ComponentSuite):
    """Update clippings: see `zoo.training.contracts.UpdateClipping`."""

    kind: ClassVar[str] = "update-clipping"

    def build(self, chosen: Chosen) -> UpdateClipping:
        """The clipping, as the host builds it."""
        clipping: UpdateClipping = chosen.create()
        assert isinstance(clipping, UpdateClipping)
        return clipping

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
    @pytest.mark.parametrize("size", [1e-12, 1.0, 1e6])
    @pytest.mark.parametrize("spike", [1e-3, 1.0, 1e3])
    def test_the_scale_is_above_nothing_and_at_most_one(
        self, chosen: Chosen, dtype: torch.dtype, size: float, spike: float
    ) -> None:
        gradient, moment = _sample(size, spike)
        scale = self.build(chosen).scale(gradient.to(dtype), moment.to(dtype), EPS)
        assert scale.shape == ()
        assert 0 < float(scale) <= 1

    def test_no_gradient_leaves_the_step_as_it_is(self, chosen: Chosen) -> None:
        """Momentum and weight decay may still move such a tensor."""
        nothing = torch.zeros(5, 3)
        for moment in (nothing, nothing + 1):
            assert float(self.build(chosen).scale(nothing, moment, EPS)) == 1

    def test_a_larger_gradient_is_clipped_no_less(self, chosen: Chosen) -> None:
        clipping = self.build(chosen)
        scales = [float(clipping.scale(*_sample(1.0, spike), EPS)) for spike in (0.1, 1.0, 10.0, 100.0, 1000.0)]
        assert scales == sorted(scales, reverse=True)

    def test_inputs_and_global_state_are_left_alone(self, chosen: Chosen) -> None:
        clipping, (gradient, moment) = self.build(chosen), _sample(1.0, 100.0)
        with untouched_surroundings():
            first = clipping.scale(gradient, moment, EPS)
        assert torch.equal(gradient, _sample(1.0, 100.0)[0])
        assert torch.equal(moment, _sample(1.0, 100.0)[1])
        assert torch.equal(clipping.scale(gradient, moment, EPS), first)

    def test_around_an_optimizer_each_tensor_goes_its_share_of_the_step(self, chosen: Chosen) -> None:
        clipping = self.build(chosen)
        starts = [random_tensor(6, 4).double(), random_tensor(5, seed=1).double()]
        free, held = ([nn.Parameter(start.clone()) for start in starts] for _ in range(2))
        plain, hosted = (_adamw(parameters) for parameters in (free, held))
        ClippedUpdates(clipping, hosted, [(str(place), item) for place, item in enumerate(held)], "exp_avg_sq")
        for step, spike in enumerate((1.0, 30.0, 0.1), start=1):
            before = [item.detach().clone() for item in held]
            for mine, other in zip(held, free, strict=True):
                mine.grad = spike * random_tensor(*mine.shape, seed=step).double()
                other.grad = mine.grad.clone()
                other.data.copy_(mine.data)
            plain.step()
            hosted.step()
            for start, mine, other in zip(before, held, free, strict=True):
                moment = plain.state[other]["exp_avg_sq"] / (1 - _BETA**step)
                assert mine.grad is not None
                scale = clipping.scale(mine.grad, moment, EPS)
                close(mine.detach() - start, scale * (other.detach() - start), 1e-9, f"step {step}")


def _sample(size: float, spike: float) -> tuple[Tensor, Tensor]:
    """A gradient `spike` times as large as those before it, and the second moment it has its part in."""
    gradient = random_tensor(6, 4) * size
    earlier = (random_tensor(6, 4, seed=1) * size).square()
    gradient = gradient * spike
    return gradient, 0.99 * earlier + 0.01 * gradient.square()


def _adamw(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=_RATE, betas=(_BETA, _BETA), eps=EPS, weight_decay=_DECAY)
