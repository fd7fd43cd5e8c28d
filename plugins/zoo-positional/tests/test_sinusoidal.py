"""Sinusoidal positions against MarianMTModel's table and the paper's formula."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding
from zoo_positional.options import SinusoidalOptions
from zoo_positional.sinusoidal import Sinusoidal

from zoo.models.contracts import StackContext


def _sinusoidal(width: int, **options: object) -> Sinusoidal:
    context = StackContext(side="encoder", layers=1, d_model=width, heads=1, max_positions=64)
    return Sinusoidal(SinusoidalOptions(**options), context)


@pytest.mark.parametrize("width", [8, 17, 512])
def test_halves_is_the_table_of_marian(width: int) -> None:
    marian = MarianSinusoidalPositionalEmbedding(600, width)
    if hasattr(marian, "create_weight"):
        table = marian.create_weight()
    else:  # transformers 4
        marian._init_weight()
        table = marian.weight
    ours = _sinusoidal(width).encode(torch.arange(600)[None])[0]
    torch.testing.assert_close(ours, table, rtol=0, atol=1e-7)


@pytest.mark.parametrize("width", [8, 17])
def test_interleaved_is_the_formula_of_the_paper(width: int) -> None:
    ours = _sinusoidal(width, layout="interleaved").encode(torch.arange(50)[None])[0]
    for position in range(50):
        for feature in range(width):
            angle = position / 10000 ** (2 * (feature // 2) / width)
            expected = math.sin(angle) if feature % 2 == 0 else math.cos(angle)
            assert abs(ours[position, feature].item() - expected) < 1e-6


def test_far_positions_are_exact() -> None:
    """In float32 the angle of position 10^6 would be off by hundredths of a radian."""
    ours = _sinusoidal(8).encode(torch.tensor([[1_000_000]]))[0, 0]
    assert abs(ours[0].item() - math.sin(1_000_000)) < 1e-6
    assert abs(ours[4].item() - math.cos(1_000_000)) < 1e-6


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_the_product_of_two_positions_depends_on_their_distance(i: int, j: int, shift: int) -> None:
    encode = _sinusoidal(32).encode(torch.tensor([[i, j, i + shift, j + shift]]))[0].double()
    assert abs(float(encode[0] @ encode[1]) - float(encode[2] @ encode[3])) < 1e-4


def test_embeddings_in_half_precision_are_rounded_once() -> None:
    x = torch.full((1, 3, 8), 100.0, dtype=torch.bfloat16)
    positions = torch.arange(3)[None]
    scheme = _sinusoidal(8)
    assert torch.equal(scheme.embed(x, positions), (x.float() + scheme.encode(positions)).bfloat16())
