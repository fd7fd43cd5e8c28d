"""The kit fails averagings that break their contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.spec.averaging import AveragingOptions
from zoo.testing import AveragingSuite, ComponentSuite
from zoo.training.averaging import Averaging

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]


class Mean(Averaging):
    """The equal mean, kept as a sum: sound, and what the broken ones below differ from in one thing each."""

    def __init__(self, options: AveragingOptions) -> None:
        super().__init__(options)
        self.count = 0
        self.total: list[Tensor] = []

    def add(self, weights: Sequence[Tensor]) -> None:
        wide = [weight.double() for weight in weights]
        self.total = [old + new for old, new in zip(self.total, wide, strict=True)] if self.total else wide
        self.count += 1

    def average(self) -> list[Tensor]:
        return [total / self.count for total in self.total]

    def state(self) -> dict[str, Any]:
        return {"count": self.count, "total": self.total}

    def load_state(self, state: dict[str, Any], weights: Sequence[Tensor]) -> None:
        self.count, self.total = state["count"], state["total"]


class Borrows(Mean):
    """Keeps the model's own tensors."""

    def add(self, weights: Sequence[Tensor]) -> None:
        self.total, self.count = list(weights), 1


class Forgets(Mean):
    """Says nothing of how many sets are in its sum."""

    def load_state(self, state: dict[str, Any], weights: Sequence[Tensor]) -> None:
        self.total = state["total"]


class Rounds(Mean):
    """Averages in the weights' own type."""

    def average(self) -> list[Tensor]:
        return [mean.bfloat16().float() for mean in super().average()]


class Overshoots(Mean):
    """Divides by one set too few."""

    def average(self) -> list[Tensor]:
        return [total / max(1, self.count - 1) for total in self.total]


class Scribbles(Mean):
    """Writes into what it is handed."""

    def add(self, weights: Sequence[Tensor]) -> None:
        super().add(weights)
        weights[0].mul_(2)


class OnlyMatrices(Mean):
    """Leaves everything but matrices as it was first."""

    def average(self) -> list[Tensor]:
        return [mean if mean.dim() == 2 else torch.zeros_like(mean) for mean in super().average()]


def test_the_sound_one_passes(installed: Installed, run: Run, tmp_path: Path) -> None:
    suite = installed(AveragingSuite, Mean, options=AveragingOptions)
    run(suite, "test_the_average_of_equal_sets_is_that_set")
    run(suite, "test_what_happens_to_the_weights_afterwards_does_not_matter")
    run(suite, "test_restored_state_gives_the_same_average", 4, tmp_path)


@pytest.mark.parametrize(
    ("broken", "test", "match"),
    [
        (Borrows, "test_what_happens_to_the_weights_afterwards_does_not_matter", "follows weights that changed"),
        (Overshoots, "test_the_average_of_equal_sets_is_that_set", None),
        (Scribbles, "test_weights_and_global_state_are_left_alone", "were changed"),
        (OnlyMatrices, "test_every_weight_is_averaged_alike", "the average of moved weights"),
        (Rounds, "test_the_average_of_one_set_is_that_set", None),
    ],
)
def test_broken_averagings_are_caught(
    installed: Installed, run: Run, broken: type[Averaging], test: str, match: str | None
) -> None:
    suite = installed(AveragingSuite, broken, options=AveragingOptions)
    with pytest.raises(AssertionError, match=match):
        run(suite, test)


def test_a_state_that_is_not_whole_is_caught(installed: Installed, run: Run, tmp_path: Path) -> None:
    suite = installed(AveragingSuite, Forgets, options=AveragingOptions)
    with pytest.raises(AssertionError, match="went another way"):
        run(suite, "test_restored_state_gives_the_same_average", 4, tmp_path)
