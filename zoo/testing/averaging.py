"""What is asked of averagings of weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from zoo.spec.options import Chosen
from zoo.testing.module import close, random_tensor
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings
from zoo.training.averaging import Averaging
from zoo.training.weights.statefile import load_state, save_state

_SHAPES = ((6, 4), (4,), ())
_SETS = 7


def weights_of(seed: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """The weights after one step: a matrix, a vector, a scalar."""
    return [random_tensor(*shape, seed=10 * seed + index).to(dtype) for index, shape in enumerate(_SHAPES)]


class AveragingSuite(ComponentSuite):
    """Averagings: see `zoo.training.averaging.Averaging`."""

    kind: ClassVar[str] = "averaging"

    def build(self, chosen: Chosen) -> Averaging:
        """The averaging, as the host builds it."""
        averaging: Averaging = chosen.create()
        assert isinstance(averaging, Averaging)
        return averaging

    def test_the_average_of_one_set_is_that_set(self, chosen: Chosen) -> None:
        averaging = self.build(chosen)
        averaging.add(weights_of(0))
        for mean, weight in zip(averaging.average(), weights_of(0), strict=True):
            assert torch.equal(mean.float(), weight)

    def test_the_average_of_equal_sets_is_that_set(self, chosen: Chosen) -> None:
        averaging = self.build(chosen)
        for _ in range(_SETS):
            averaging.add(weights_of(0))
        for mean, weight in zip(averaging.average(), weights_of(0), strict=True):
            assert torch.equal(mean.float(), weight)

    def test_the_average_lies_among_what_was_added(self, chosen: Chosen) -> None:
        averaging = self.build(chosen)
        _add(averaging, range(_SETS))
        for index, mean in enumerate(averaging.average()):
            seen = torch.stack([weights_of(seed)[index] for seed in range(_SETS)])  # [sets, ...]
            assert (mean >= seen.amin(0) - 1e-6).all(), "below the smallest"
            assert (mean <= seen.amax(0) + 1e-6).all(), "above the largest"

    def test_every_weight_is_averaged_alike(self, chosen: Chosen) -> None:
        """Moving all sets moves the average."""
        here, there = self.build(chosen), self.build(chosen)
        for seed in range(_SETS):
            here.add(weights_of(seed))
            there.add([2 * weight + 1 for weight in weights_of(seed)])
        for one, other in zip(here.average(), there.average(), strict=True):
            close(other.float(), 2 * one.float() + 1, 1e-5, "the average of moved weights")

    def test_what_happens_to_the_weights_afterwards_does_not_matter(self, chosen: Chosen) -> None:
        """The host hands over the model's own tensors, which the next step writes over."""
        averaging, careful = self.build(chosen), self.build(chosen)
        live = weights_of(0)
        for seed in range(_SETS):
            for tensor, weight in zip(live, weights_of(seed), strict=True):
                tensor.copy_(weight)
            averaging.add(live)
        for tensor in live:
            tensor.fill_(1e6)
        _add(careful, range(_SETS))
        _assert_same(averaging, careful, "the average follows weights that changed after they were added")

    def test_weights_and_global_state_are_left_alone(self, chosen: Chosen) -> None:
        live = weights_of(0)
        with untouched_surroundings():
            averaging = self.build(chosen)
            averaging.add(live)
            averaging.add(live)
            averaging.average()
            averaging.state()
        for tensor, weight in zip(live, weights_of(0), strict=True):
            assert torch.equal(tensor, weight), "the weights themselves were changed"

    def test_looking_at_the_average_changes_nothing(self, chosen: Chosen) -> None:
        looked, unlooked = self.build(chosen), self.build(chosen)
        for seed in range(_SETS):
            looked.add(weights_of(seed))
            looked.average()
            unlooked.add(weights_of(seed))
        _assert_same(looked, unlooked, "the average is another one where it was asked for in between")

    def test_narrow_weights_are_averaged_in_float32_or_wider(self, chosen: Chosen) -> None:
        averaging = self.build(chosen)
        for seed in range(_SETS):
            averaging.add(weights_of(seed, torch.bfloat16))
        assert all(mean.dtype in (torch.float32, torch.float64) for mean in averaging.average())
        wide = self.build(chosen)
        for seed in range(_SETS):
            wide.add([weight.float() for weight in weights_of(seed, torch.bfloat16)])
        _assert_same(averaging, wide, "the average of narrow weights is rounded on the way")

    @pytest.mark.parametrize("before", [0, 1, 4])
    def test_restored_state_gives_the_same_average(self, chosen: Chosen, before: int, tmp_path: Path) -> None:
        averaging, twin = self.build(chosen), self.build(chosen)
        _add(averaging, range(before))
        save_state(tmp_path / "state", averaging.state())
        twin.load_state(load_state(tmp_path / "state"), weights_of(0))
        for each in (averaging, twin):
            _add(each, range(before, _SETS))
        _assert_same(averaging, twin, "the average went another way after its state was restored")


def _add(averaging: Averaging, seeds: Sequence[int]) -> None:
    for seed in seeds:
        averaging.add(weights_of(seed))


def _assert_same(one: Averaging, other: Averaging, what: str) -> None:
    for mean, twin in zip(one.average(), other.average(), strict=True):
        assert torch.equal(mean, twin), what
