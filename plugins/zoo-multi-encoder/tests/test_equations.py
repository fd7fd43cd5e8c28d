"""Each component against its equations, written out with numpy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from zoo_multi_encoder.gated import Gated
from zoo_multi_encoder.inside import Inside
from zoo_multi_encoder.options import CombinedOptions
from zoo_multi_encoder.outside import Outside

from zoo.models.attention import CrossAttention
from zoo.models.backends import SDPA
from zoo.models.contracts import Context, ContextPlace
from zoo.spec.context import ContextOptions

D, H = 6, 2
Array = NDArray[np.float64]


class Residual(nn.Module):
    final_norm = False

    def forward(self, x, sublayers):
        for sublayer in sublayers:
            x = x + sublayer(x)
        return x


PLACE = ContextPlace(
    d_model=D,
    heads=H,
    decoder_layers=2,
    bias=True,
    dropout=0.0,
    attention_dropout=0.0,
    make_attention=lambda layer: CrossAttention(D, H, bias=True, dropout=0.0, layer=layer),
    make_norm=lambda: nn.LayerNorm(D),
    make_feedforward=lambda: nn.Linear(D, D),
    make_block=lambda _: Residual(),
)
MASK = torch.tensor([[True] * 4, [True, True, False, False], [False] * 4])


@pytest.fixture
def inputs() -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(2)
    return tuple(torch.randn(3, length, D, generator=draw, dtype=torch.float64) for length in (5, 5, 4))


def scattered(component: Any) -> Any:
    draw = torch.Generator().manual_seed(5)
    component = component.double().eval()
    for parameter in component.parameters():
        nn.init.normal_(parameter, generator=draw)
    return component


def numbers(tensor: torch.Tensor) -> Array:
    return tensor.detach().numpy()


def linear(layer: nn.Linear, x: Array) -> Array:
    return x @ numbers(layer.weight).T + numbers(layer.bias)


def attention(module: Any, x: Array, memory: Array) -> Array:
    """Multi-head attention (Vaswani et al. 2017, section 3.2) of x ``[L, D]`` to a memory ``[S, D]``."""
    query, both = linear(module.query, x), linear(module.kv, memory)
    heads = []
    for head in range(H):
        piece = slice(head * D // H, (head + 1) * D // H)
        scores = query[:, piece] @ both[:, :D][:, piece].T / np.sqrt(D // H)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ both[:, D:][:, piece])
    return linear(module.out, np.concatenate(heads, -1))


def gated(gate: Any, a: Array, b: Array) -> Array:
    share = 1 / (1 + np.exp(-linear(gate.linear, np.concatenate((a, b), -1))))
    return share * a + (1 - share) * b


@pytest.mark.parametrize(("combine", "shares"), [("gate", D), ("scalar-gate", 1), ("sum", 0)])
def test_outside(inputs, combine, shares):
    component = scattered(Outside(CombinedOptions(combine=combine), PLACE))
    states, _, context = inputs
    found = numbers(component.merge(states, None, Context(context, MASK), SDPA))
    for row in (0, 1):
        x, memory = numbers(states[row]), numbers(context[row][MASK[row]])
        a = attention(component.attention, x, memory)
        np.testing.assert_allclose(found[row], gated(component.combine, x, a) if shares else x + a)
    np.testing.assert_array_equal(found[2], numbers(states[2]))
    assert not shares or component.combine.linear.out_features == shares


@pytest.mark.parametrize("layer", [0, 1])
def test_inside(inputs, layer):
    component = scattered(Inside(CombinedOptions(), PLACE))
    x, attended, context = inputs
    found = numbers(component.attend(layer, x, attended, Context(context, MASK), SDPA, None))
    for row in (0, 1):
        a = attention(component.attentions[layer], numbers(x[row]), numbers(context[row][MASK[row]]))
        np.testing.assert_allclose(found[row], gated(component.combine[layer], numbers(attended[row]), a))
    np.testing.assert_array_equal(found[2], numbers(attended[2]))


def test_gated(inputs):
    component = scattered(Gated(ContextOptions(), PLACE))
    states, _, context = inputs
    seen = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] * 5])
    found = numbers(component.merge(states, seen, Context(context, MASK), SDPA))
    for row, length in ((0, 5), (1, 3), (2, 5)):
        x = numbers(states[row, :length])
        a = attention(component.to_source, x, x)
        if row < 2:
            a = gated(component.gate, a, attention(component.to_context, x, numbers(context[row][MASK[row]])))
        x = x + a
        np.testing.assert_allclose(found[row, :length], x + linear(component.feedforward, x))
