"""Which tensors of a model are averaged, at which steps, and how the average gets into the model."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from zoo.spec import Chosen, Slot
from zoo.spec.averaging import AveragingOptions, step_of
from zoo.training.weights.averager import Averager, averaged_tensors

_SLOT: TypeAdapter[Chosen] = TypeAdapter(Annotated[Chosen, Slot("averaging")])


def averager(model: nn.Module, steps: int, **options: Any) -> Averager:
    return Averager(_SLOT.validate_python(options), model, steps)


class Small(nn.Module):
    """A tied matrix, a frozen one, a normalisation with statistics, a buffer."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3, dtype=dtype)
        self.head = nn.Linear(3, 5, bias=False, dtype=dtype)
        self.head.weight = self.embed.weight
        self.frozen = nn.Parameter(torch.ones(2, dtype=dtype), requires_grad=False)
        self.norm = nn.BatchNorm1d(3, dtype=dtype)
        self.register_buffer("table", torch.arange(3.0))

    @torch.no_grad()
    def fill(self, value: float) -> None:
        """Every tensor but the counter has this value."""
        for tensor in self.state_dict().values():
            if tensor.is_floating_point():
                tensor.fill_(value)


def test_a_tied_matrix_is_averaged_once_and_a_frozen_one_or_a_table_not_at_all() -> None:
    assert list(averaged_tensors(Small())) == [
        "embed.weight",
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
    ]


def test_a_normalisation_that_is_the_whole_model_has_its_statistics_averaged() -> None:
    assert list(averaged_tensors(nn.BatchNorm1d(2))) == ["weight", "bias", "running_mean", "running_var"]


def test_the_mean_is_put_into_the_model_and_the_model_has_its_own_weights_back_afterwards() -> None:
    model = Small()
    found = averager(model, 4, use="swa", start=2, every=2)
    for step in range(1, 5):
        model.fill(float(step))
        found.after_step(step)
    assert (found.count, found.first, found.last) == (2, 2, 4)
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with found.in_place():
        assert (model.embed.weight == 3).all()
        assert model.head.weight is model.embed.weight
        assert (model.norm.running_mean == 3).all()
        assert (model.frozen == 4).all()
        assert (model.table == 4).all()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, own[name]), name
    found.put()
    assert (model.norm.weight == 3).all()


def test_narrow_weights_are_averaged_wide_and_rounded_once() -> None:
    model = Small(torch.bfloat16)
    found = averager(model, 300, use="swa", start=1, every=1)
    for step in range(1, 301):
        # In bfloat16 a sum of 1s stops at 256.
        model.fill(1.0)
        found.after_step(step)
    found.put()
    assert model.embed.weight.dtype is torch.bfloat16
    assert (model.embed.weight == 1).all()


@pytest.mark.parametrize(
    ("options", "total", "counted"),
    [
        ({}, 3, [1, 2, 3]),
        ({"start": 3}, 5, [3, 4, 5]),
        ({"start": 0.5}, 8, [4, 5, 6, 7, 8]),
        ({"start": 0.5, "every": 3}, 10, [7, 10]),
        ({"every": 4}, 10, [2, 6, 10]),
        ({"every": 100}, 10, [10]),
        ({"start": 0.01}, 10, list(range(1, 11))),
    ],
)
def test_the_last_step_always_counts_and_those_before_it_at_equal_distances(
    options: dict[str, Any], total: int, counted: list[int]
) -> None:
    found = AveragingOptions.model_validate(options)
    assert [step for step in range(1, total + 1) if found.counts(step, total)] == counted


@pytest.mark.parametrize("start", [0, -1, 0.0, 1.0, 1.5, True, "half"])
def test_a_start_is_a_step_or_a_share(start: Any) -> None:
    with pytest.raises(ValidationError, match="expected"):
        AveragingOptions.model_validate({"start": start})


def test_a_start_keeps_its_meaning_in_plain_form() -> None:
    for start in (1, 7, 0.25):
        plain = AveragingOptions.model_validate({"start": start}).plain()
        again = AveragingOptions.model_validate(plain)
        assert type(again.start) is type(start)
        assert step_of(again.start, 100) == step_of(start, 100)
