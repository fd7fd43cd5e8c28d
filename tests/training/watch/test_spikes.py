"""Losses that leap are told apart from losses that vary."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.trainer import ZooTrainer
from zoo.training.watch.spikes import MINIMUM, MOST, WINDOW, Spikes


def falling(count: int, seed: int = 0) -> list[float]:
    """A loss that falls as losses do, with noise of 5%."""
    noise = np.random.default_rng(seed).normal(0, 0.05, count)
    return [float((2 + 6 / math.sqrt(1 + step / 20)) * (1 + noise[step])) for step in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_a_loss_that_falls_with_noise_has_no_spikes(seed: int) -> None:
    spikes = Spikes()
    assert not any(spikes.add(step, loss) for step, loss in enumerate(falling(2000, seed)))
    assert spikes.facts() == {}


def test_a_leap_is_found_with_its_step_and_what_was_usual() -> None:
    losses = falling(300)
    losses[200] *= 2.0
    spikes = Spikes()
    found = [step for step, loss in enumerate(losses) if spikes.add(step, loss)]
    assert found == [200]
    (told,) = spikes.facts()["loss_spikes"]["first"]
    assert told == {"step": 200, "loss": losses[200], "median": float(np.median(losses[100:200]))}


def test_the_rule_is_hampels() -> None:
    """Around a median of 10 with a median absolute deviation of 1, 6 deviations end at 18.8956."""
    usual = [9.0, 10.0, 11.0, 8.0, 12.0] * 20
    assert np.median(np.abs(np.array(usual) - 10)) == 1
    for loss, spike in ((10 + 6 * 1.4826 - 0.001, False), (10 + 6 * 1.4826 + 0.001, True), (-50.0, False)):
        spikes = Spikes()
        assert not any(spikes.add(step, item) for step, item in enumerate(usual))
        assert spikes.add(100, loss) == spike


def test_a_loss_that_never_varied_may_rise_by_a_tenth() -> None:
    for loss, spike in ((2.19, False), (2.21, True)):
        spikes = Spikes()
        for step in range(MINIMUM):
            spikes.add(step, 2.0)
        assert spikes.add(MINIMUM, loss) == spike


def test_the_first_losses_are_held_against_nothing() -> None:
    spikes = Spikes()
    assert not any(spikes.add(step, 10.0**step) for step in range(MINIMUM))
    assert spikes.add(MINIMUM, 10.0 ** (MINIMUM * 2))


def test_a_new_level_is_soon_the_usual_one() -> None:
    spikes = Spikes()
    found = [step for step, loss in enumerate([1.0] * 200 + [2.0] * 200) if spikes.add(step, loss)]
    assert found == list(range(200, 200 + WINDOW // 2)), "until half of the window has the new level"


def test_many_are_counted_and_some_listed() -> None:
    spikes = Spikes()
    for step in range(30 * MOST):
        spikes.add(step, 9.0 if step % 20 == 19 else 1.0)
    told = spikes.facts()["loss_spikes"]
    assert len(told["first"]) == MOST
    assert told["count"] == 30 * MOST // 20 - 1  # the first came too early


def test_what_is_found_does_not_depend_on_where_a_run_was_interrupted() -> None:
    losses = falling(300)
    losses[150] = losses[201] = 30.0
    whole = Spikes()
    for step, loss in enumerate(losses):
        whole.add(step, loss)
    for cut in (10, 150, 151, 250):
        before, after = Spikes(), Spikes()
        for step, loss in enumerate(losses[:cut]):
            before.add(step, loss)
        after.load_state(before.state())
        for step, loss in enumerate(losses[cut:], cut):
            after.add(step, loss)
        assert after.facts() == whole.facts()
        assert after.facts()["loss_spikes"]["count"] == 2


def test_a_runs_facts_name_the_steps_whose_loss_leapt(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ZooTrainer.training_step

    def leaping(self: Any, model: Any, inputs: Any, items: Any) -> Any:
        return original(self, model, inputs, items * (0.2 if self.state.global_step + 1 == 25 else 1.0))

    monkeypatch.setattr(ZooTrainer, "training_step", leaping)
    outcome = train(make_spec(**{"training.steps": 27}), tmp_path / "out", home=home)
    assert (outcome.status, outcome.facts["loss_spikes"]["count"]) == ("ok", 1)
    assert outcome.facts["loss_spikes"]["first"][0]["step"] == 25
