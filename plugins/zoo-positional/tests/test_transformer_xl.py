"""Transformer-XL's attention against the paper's equations, written out in float64."""

import math

import pytest
import torch
from zoo_positional.options import TransformerXlOptions
from zoo_positional.transformer_xl import TransformerXl

from zoo.models.contracts import Side, StackContext
from zoo.testing.attention import ReferenceAttention

HEADS, HEAD_DIM, LENGTH = 3, 4, 8
WIDTH = HEADS * HEAD_DIM


def _sinusoid(distance: int) -> torch.Tensor:
    frequencies = [1 / 10000 ** (2 * m / WIDTH) for m in range(WIDTH // 2)]
    waves = [math.sin(distance * f) for f in frequencies] + [math.cos(distance * f) for f in frequencies]
    return torch.tensor(waves, dtype=torch.float64)


@pytest.mark.parametrize("clip", [3, 40], ids=["clipped", "unclipped"])
@pytest.mark.parametrize("side", ["encoder", "decoder"])
@torch.no_grad()
def test_attention_is_that_of_the_equations(side: Side, clip: int) -> None:
    """Section 3.3 of Dai et al. 2019: the four terms (a) to (d), term by term."""
    torch.manual_seed(5)
    context = StackContext(side=side, layers=2, d_model=WIDTH, heads=HEADS, max_positions=64)
    scheme = TransformerXl(TransformerXlOptions(clip=clip), context).double()
    for parameter in scheme.parameters():
        parameter.normal_()
    x = torch.randn(LENGTH, WIDTH, dtype=torch.float64)
    weights, matrix = ReferenceAttention(WIDTH, HEADS).weights.double(), scheme.layer(1).distances.weight
    expected = torch.zeros_like(x)
    for h in range(HEADS):
        columns = slice(h * HEAD_DIM, (h + 1) * HEAD_DIM)
        q, k, v = (x @ weight[:, columns] for weight in weights)
        u, w = scheme.content_bias[h], scheme.position_bias[h]
        for i in range(LENGTH):
            seen = range(i + 1) if side == "decoder" else range(LENGTH)
            logits = []
            for j in seen:
                r = (matrix @ _sinusoid(min(max(i - j, -clip), clip)))[columns]
                logits.append((q[i] @ k[j] + q[i] @ r + u @ k[j] + w @ r) / HEAD_DIM**0.5)
            expected[i, columns] = torch.stack(logits).softmax(0) @ v[: len(logits)]
    places = torch.arange(LENGTH)[None] + 9
    found = ReferenceAttention(WIDTH, HEADS)(scheme, x[None], places, causal=side == "decoder", layer=1)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_biases_are_shared_by_layers_and_the_matrices_are_not() -> None:
    context = StackContext(side="encoder", layers=2, d_model=WIDTH, heads=HEADS, max_positions=64)
    names = {name for name, _ in TransformerXl(TransformerXlOptions(), context).named_parameters()}
    assert names == {"content_bias", "position_bias", "layers.0.distances.weight", "layers.1.distances.weight"}
