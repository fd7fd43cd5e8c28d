"""ALiBi against x-transformers, Bloom and MPT."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor
from x_transformers.x_transformers import AlibiPositionalBias
from zoo_positional.alibi import Alibi, slopes
from zoo_positional.options import AlibiOptions

from zoo.models.contracts import StackContext
from zoo.testing.attention import dense_bias


def _bias(heads: int, q_positions: torch.Tensor, k_positions: torch.Tensor, **options: object) -> torch.Tensor:
    context = StackContext(side="encoder", layers=1, d_model=heads, heads=heads, max_positions=64)
    (term,) = Alibi(AlibiOptions(**options), context).score(None, None, q_positions, k_positions)
    return dense_bias(term, q_positions, k_positions)


@pytest.mark.parametrize("heads", [1, 2, 6, 8, 12, 16, 20])
def test_the_bias_is_that_of_x_transformers(heads: int) -> None:
    positions = torch.arange(9)[None]
    theirs = AlibiPositionalBias(heads=heads, total_heads=heads)(9, 9)  # [H, 9, 9]
    torch.testing.assert_close(_bias(heads, positions, positions)[0], theirs, rtol=1e-6, atol=1e-7)


def test_a_cached_step_has_the_last_row_of_the_bias() -> None:
    positions = torch.arange(9)[None]
    step = _bias(6, positions[:, -1:], positions)
    assert torch.equal(step, _bias(6, positions, positions)[:, :, -1:])


@pytest.mark.parametrize("heads", [4, 6, 12])
def test_causal_attention_is_that_of_bloom(heads: int) -> None:
    """Bloom adds slope * j, which differs by a constant of each row, and a softmax does not see it."""
    length = 8
    theirs = build_alibi_tensor(torch.ones(1, length, dtype=torch.long), heads, torch.float32).view(1, heads, 1, length)
    logits = torch.randn(1, heads, length, length, generator=torch.Generator().manual_seed(0))
    logits = logits.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), float("-inf"))
    positions = torch.arange(length)[None]
    ours = (logits + _bias(heads, positions, positions)).softmax(-1)
    torch.testing.assert_close(ours, (logits + theirs).softmax(-1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("exponent", [4.0, 8.0, 16.0])
def test_the_exponent_is_that_of_mpt(exponent: float) -> None:
    theirs = build_mpt_alibi_tensor(8, 5, alibi_bias_max=exponent)[:, 0]  # [H, 5]: distances 4 .. 0
    ours = _bias(8, torch.tensor([[4]]), torch.arange(5)[None], exponent=exponent)[0, :, 0]
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)


@given(st.integers(0, 7), st.floats(0.5, 16))
def test_slopes_of_a_power_of_two_are_geometric(power: int, exponent: float) -> None:
    heads = 2**power
    expected = [2.0 ** (-exponent * h / heads) for h in range(1, heads + 1)]
    torch.testing.assert_close(slopes(heads, exponent), torch.tensor(expected), rtol=1e-6, atol=0)


@given(st.integers(1, 200))
def test_there_is_one_slope_a_head_and_no_two_alike(heads: int) -> None:
    given_slopes = slopes(heads)
    assert given_slopes.shape == (heads,)
    assert len(set(given_slopes.tolist())) == heads
    assert ((given_slopes > 0) & (given_slopes < 1)).all()


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=6), st.integers(0, 10_000))
def test_distance_alone_counts_and_both_directions_alike(places: list[int], shift: int) -> None:
    positions = torch.tensor([places])
    bias = _bias(4, positions, positions)
    assert torch.equal(bias, _bias(4, positions + shift, positions + shift))
    assert torch.equal(bias, bias.mT)
    assert (bias <= 0).all()


# Marian's tables, from initSlopes and initBiases of its AlibiAttentionMaskProcessor, the encoder's.
MARIAN_SLOPES = [-2.00, -1.00, -0.50, -0.25, -0.05, -0.05, -0.05, -0.05]
MARIAN_BIASES = [1.00, -2.00, 3.00, -4.00, 5.00, -6.00, 7.00, -8.00]


@pytest.mark.parametrize("heads", [1, 3, 8, 10])
def test_the_asymmetric_bias_is_that_of_marian(heads: int) -> None:
    slopes_of = (MARIAN_SLOPES + [-0.05] * heads)[:heads]
    biases_of = (MARIAN_BIASES + [0.0] * heads)[:heads]
    places = torch.arange(12)[None] + 40
    found = _bias(heads, places, places, shape="asymmetric", slopes="marian")[0]
    for h, i, j in itertools.product(range(heads), range(12), range(12)):
        assert found[h, i, j].item() == pytest.approx(slopes_of[h] * abs(j - i + biases_of[h]), abs=1e-6)


@pytest.mark.parametrize("heads", [6, 8])
def test_causal_self_attention_is_that_of_marian(heads: int) -> None:
    """Its AlibiDecoderAttentionMaskProcessor with a causal mask: slopes of the paper, no biases."""
    context = StackContext(side="decoder", layers=1, d_model=heads, heads=heads, max_positions=64)
    scheme = Alibi(AlibiOptions(shape="asymmetric", slopes="marian"), context)
    places = torch.arange(12)[None] + 40
    (term,) = scheme.score(None, None, places, places)
    found = dense_bias(term, places, places)[0]
    for h, i, j in itertools.product(range(heads), range(12), range(12)):
        assert found[h, i, j].item() == pytest.approx(-(2 ** (-(h + 1) * 8 / heads)) * abs(j - i), abs=1e-6)


def test_an_exponent_beside_slopes_that_have_none_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"exponent 4.0 is for geometric slopes"):
        AlibiOptions(slopes="marian", exponent=4.0)
    assert AlibiOptions.model_validate(AlibiOptions(slopes="marian").model_dump()).exponent == 8  # as a lock has it


def test_asymmetric_cross_attention_is_that_of_marian() -> None:
    context = StackContext(side="decoder", layers=1, d_model=8, heads=8, max_positions=64, cross=True)
    scheme = Alibi(AlibiOptions(shape="asymmetric", slopes="marian"), context)
    q, k = torch.arange(4)[None], torch.arange(7)[None]
    (term,) = scheme.score(None, None, q, k)
    expected = -0.1 * (k[:, None] - q[..., None] + 0.3).abs().expand(8, 4, 7)
    torch.testing.assert_close(dense_bias(term, q, k)[0], expected)


def test_an_asymmetric_head_looks_most_at_its_own_distance() -> None:
    places = torch.arange(20)[None]
    at = _bias(4, places, places, shape="asymmetric")[0, :, 10].argmax(-1) - 10  # [H]
    assert at.tolist() == [-1, 2, -3, 4]
