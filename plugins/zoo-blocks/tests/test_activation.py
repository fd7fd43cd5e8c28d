"""Activations against their formulas, computed with Python's own mathematics."""

import math

import pytest
import torch
from zoo_blocks.activation import Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu
from zoo_blocks.options import GeluOptions, LeakyReluOptions

from zoo.spec.options import NoOptions

POINTS = [-30.0, -3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0, 30.0]


def _tanh_gelu(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


CASES = {
    "relu": (Relu(NoOptions()), lambda x: max(x, 0.0)),
    "leaky_relu": (LeakyRelu(LeakyReluOptions(slope=0.2)), lambda x: x if x > 0 else 0.2 * x),
    "gelu exact": (Gelu(GeluOptions()), lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2))),
    "gelu tanh": (Gelu(GeluOptions(form="tanh")), _tanh_gelu),
    "silu": (Silu(NoOptions()), lambda x: x / (1 + math.exp(-x))),
    "sigmoid": (Sigmoid(NoOptions()), lambda x: 1 / (1 + math.exp(-x))),
    "identity": (Identity(NoOptions()), lambda x: x),
}


@pytest.mark.parametrize("name", list(CASES))
def test_values_are_those_of_the_formula(name: str) -> None:
    module, formula = CASES[name]
    expected = torch.tensor([formula(point) for point in POINTS])
    torch.testing.assert_close(module(torch.tensor(POINTS)), expected, rtol=1e-5, atol=1e-6)
