"""Bytes of an optimizer's state, against what its paper says it keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from zoo.training.watch.optimizer_state import optimizer_state_bytes


def stepped(optimizer: Any, parameters: list[torch.Tensor]) -> Any:
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


@pytest.fixture
def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.zeros(60, 40)), nn.Parameter(torch.zeros(40))]


def test_adam_keeps_two_moments_of_every_parameter_and_a_step_for_each(parameters: list[nn.Parameter]) -> None:
    optimizer = torch.optim.AdamW(parameters)
    assert optimizer_state_bytes(optimizer) == 0
    stepped(optimizer, parameters)
    numbers = 60 * 40 + 40
    assert optimizer_state_bytes(optimizer) == 2 * 4 * numbers + len(parameters) * 4


def test_adafactor_keeps_a_row_and_a_column_of_a_matrix(parameters: list[nn.Parameter]) -> None:
    """Shazeer & Stern 2018, section 3: n + m numbers for an n x m matrix, n for a vector; and the root mean square of
    each parameter, which transformers keeps."""
    from transformers.optimization import Adafactor

    optimizer = Adafactor(parameters, lr=1e-3, relative_step=False, scale_parameter=False)
    assert optimizer_state_bytes(stepped(optimizer, parameters)) == 4 * ((60 + 40) + 40 + 2)


def test_momentum_in_half_precision_counts_two_bytes() -> None:
    parameters = [nn.Parameter(torch.zeros(100, dtype=torch.bfloat16))]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    assert optimizer_state_bytes(stepped(optimizer, parameters)) == 200


class Quantised(torch.Tensor):
    """A tensor that looks like 1000 floats and stores 1000 bytes and 10 scales."""

    @staticmethod
    def __new__(cls, codes: torch.Tensor, scales: torch.Tensor) -> Any:
        return torch.Tensor._make_wrapper_subclass(cls, codes.shape, dtype=torch.float32)

    def __init__(self, codes: torch.Tensor, scales: torch.Tensor) -> None:
        self.codes, self.scales = codes, scales

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["codes", "scales"], None

    @classmethod
    def __torch_dispatch__(cls, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class Stateful:
    def __init__(self, **state: Any) -> None:
        self.state = {nn.Parameter(torch.zeros(5)): state}


def test_a_quantised_state_counts_what_it_stores() -> None:
    moment = Quantised(torch.zeros(1000, dtype=torch.uint8), torch.zeros(10))
    assert optimizer_state_bytes(Stateful(moment=moment)) == 1000 + 40


def test_what_is_shared_counts_once_and_a_view_as_what_it_keeps_alive() -> None:
    buffer = torch.zeros(100)
    assert optimizer_state_bytes(Stateful(a=buffer, b=buffer, c=buffer[:10])) == 400
    assert optimizer_state_bytes(Stateful(c=buffer[:10])) == 400


def test_nested_states_are_looked_through_and_numbers_are_none() -> None:
    assert optimizer_state_bytes(Stateful(step=3, kron=[torch.zeros(2), {"q": (torch.zeros(3),)}])) == 20
