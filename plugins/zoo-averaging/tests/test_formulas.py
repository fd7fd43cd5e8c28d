"""Averages against torch's, numpy's and the papers' formulas."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn
from zoo_averaging.mean import mean
from zoo_averaging.options import SwaScheduleOptions
from zoo_averaging.soup import greedy_soup

from zoo.spec import Chosen, Slot
from zoo.training.averaging import Averaging
from zoo.training.contracts import Schedule
from zoo.training.weights.statefile import load_state, save_state

_AVERAGING: TypeAdapter[Chosen] = TypeAdapter(Annotated[Chosen, Slot("averaging")])
_SCHEDULE: TypeAdapter[Chosen] = TypeAdapter(Annotated[Chosen, Slot("schedule")])


def averaging(**options: Any) -> Averaging:
    created: Averaging = _AVERAGING.validate_python(options).create()
    return created


def schedule(**options: Any) -> Schedule:
    created: Schedule = _SCHEDULE.validate_python({"use": "zoo-averaging/swa", **options}).create()
    return created


def walk(steps: int) -> list[list[Tensor]]:
    """A random walk of a layer's weight and bias."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Linear(5, 3)
    found = []
    for _ in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator))
        found.append([parameter.detach().clone() for parameter in model.parameters()])
    return found


@pytest.mark.parametrize(
    ("options", "function"),
    [
        ({"use": "ema", "decay": 0.9, "warmup": False}, get_ema_multi_avg_fn(0.9)),
        ({"use": "swa"}, get_swa_multi_avg_fn()),
    ],
    ids=["ema", "swa"],
)
def test_an_average_is_that_of_torchs_averaged_model(options: dict[str, Any], function: Any) -> None:
    ours, model = averaging(**options), nn.Linear(5, 3)
    theirs = AveragedModel(model, multi_avg_fn=function)
    for weights in walk(50):
        with torch.no_grad():
            for parameter, weight in zip(model.parameters(), weights, strict=True):
                parameter.copy_(weight)
        ours.add(list(model.parameters()))
        theirs.update_parameters(model)
    for mine, other in zip(ours.average(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(mine.float(), other.detach(), rtol=1e-5, atol=1e-6)


def test_the_share_of_the_old_average_grows_to_the_decay() -> None:
    """min(decay, (1 + t) / (10 + t)) with t sets in the average: 2/11, 3/12, ... up to 0.5."""
    found = averaging(use="ema", decay=0.5)
    expected = np.zeros(())
    for t in range(30):
        found.add([torch.tensor(float(t))])
        share = min(0.5, (1 + t) / (10 + t)) if t else 0.0
        expected = share * expected + (1 - share) * t
        assert found.average()[0].item() == pytest.approx(float(expected), rel=1e-6)


def test_last_k_is_the_mean_of_the_newest_k() -> None:
    found = averaging(use="last-k", k=3)
    steps = walk(8)
    for count, weights in enumerate(steps, start=1):
        found.add(weights)
        newest = [versions[0].double().numpy() for versions in steps[max(0, count - 3) : count]]
        np.testing.assert_allclose(found.average()[0].numpy(), np.mean(newest, axis=0), rtol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["ema", "swa", "last-k"])
def test_on_a_gpu_the_average_is_that_of_the_cpu_and_goes_on_there_from_its_state(name: str, tmp_path: Path) -> None:
    there, here = averaging(use=name), averaging(use=name)
    for count, weights in enumerate(walk(6)):
        if count == 3:
            save_state(tmp_path / "state", there.state())
            there = averaging(use=name)
            there.load_state(load_state(tmp_path / "state"), [weight.cuda() for weight in weights])
        there.add([weight.cuda() for weight in weights])
        here.add(weights)
    for one, other in zip(there.average(), here.average(), strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-6, atol=1e-6)


def test_the_mean_does_not_depend_on_the_order() -> None:
    tensors = [torch.randn(50, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    one = mean(tensors)
    for order in permutations(tensors):
        torch.testing.assert_close(mean(order), one, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("shares", [None, [0.1, 0.2, 0.7]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_mean_of_copies_is_the_tensor_bit_for_bit(shares: list[float] | None, dtype: torch.dtype) -> None:
    tensor = torch.randn(200, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert torch.equal(mean([tensor, tensor.clone(), tensor.clone()], shares).to(dtype), tensor)


def test_shares_weigh_the_mean() -> None:
    assert mean([torch.tensor([1.0]), torch.tensor([5.0])], [0.75, 0.25]).item() == 2.0


def test_the_rate_is_the_other_schedules_then_constant() -> None:
    found = schedule(start=4, rate=0.3, before={"use": "inverse-sqrt", "warmup": 2})
    before = _SCHEDULE.validate_python({"use": "inverse-sqrt", "warmup": 2}).create()
    assert [found.factor(step, 10) for step in range(4)] == [before.factor(step, 10) for step in range(4)]
    assert [found.factor(step, 10) for step in range(4, 10)] == [0.3] * 6
    assert schedule(start=0.5).factor(4, 10) == 1.0


def test_a_cyclic_rate_falls_from_high_to_low_and_ends_low_at_the_last_step() -> None:
    """Izmailov et al. 2018: t(i) = i / c in step i of a cycle of c."""
    found = schedule(start=4, rate=1.0, low=0.1, cycle=3)
    expected = [(1 - i / 3) * 1.0 + i / 3 * 0.1 for i in (1, 2, 3, 1, 2, 3)]
    assert [found.factor(step, 10) for step in range(4, 10)] == pytest.approx(expected)
    # 2 steps into training the cycle that ends with step 4 of 10 is on.
    assert schedule(start=2, rate=1.0, low=0.1, cycle=3).factor(2, 10) == pytest.approx(expected[1])


@pytest.mark.parametrize("options", [{"low": 0.1}, {"cycle": 5}, {"rate": 0.1, "low": 0.2, "cycle": 5}])
def test_half_a_cycle_and_one_that_rises_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"low"):
        SwaScheduleOptions.model_validate(options)


def test_a_greedy_soup_begins_with_the_best_and_keeps_what_does_not_make_it_worse() -> None:
    """Each model a number, the soup good where its mean is near 10; equal is good enough."""
    models = [16.0, 9.0, 11.0, 12.0, 10.0]

    def error(places: Any) -> float:
        return abs(float(np.mean([models[place] for place in places])) - 10)

    found = greedy_soup([error([place]) for place in range(5)], error, higher=False)
    # 10 alone: 0; with 9: 0.5; with 11: 0.5; with 12: 1; with 16: 3.
    assert (found.order, found.taken, found.score) == ([4, 1, 2, 3, 0], [4], 0.0)
    models[4] = 9.0
    found = greedy_soup([error([place]) for place in range(5)], error, higher=False)
    # 9: 1; with 11: 0; with the other 9: 1/3; with 12: 2/3; with 16: 2.
    assert (found.order, found.taken) == ([1, 2, 4, 3, 0], [1, 2])
    assert found.tried == pytest.approx([1, 0, 1 / 3, 2 / 3, 2])
    models = [9.0, 9.0]
    assert greedy_soup([1.0, 1.0], error, higher=False).taken == [0, 1]


def test_a_greedy_soup_by_a_score_that_is_better_when_higher() -> None:
    models = [0.2, 0.9, 0.8]
    found = greedy_soup(models, lambda places: 0.95 if list(places) == [1, 2] else 0.1, higher=True)
    assert (found.order, found.taken, found.score) == ([1, 2, 0], [1, 2], 0.95)
