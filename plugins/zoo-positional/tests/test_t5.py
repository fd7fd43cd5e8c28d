"""T5's buckets and bias against transformers and x-transformers."""

import pytest
import torch
from transformers import T5Config
from transformers.models.t5.modeling_t5 import T5Attention
from x_transformers.x_transformers import RelativePositionBias
from zoo_positional.options import T5Options
from zoo_positional.t5 import T5, logarithmic_bucket

from zoo.errors import InputError
from zoo.models.contracts import Side, StackContext
from zoo.testing.attention import dense_bias

HEADS = 4


def _t5(side: Side, *, cross: bool = False, **options: int) -> T5:
    context = StackContext(side=side, layers=2, d_model=32, heads=HEADS, max_positions=512, cross=cross)
    return T5(T5Options(**options), context)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "longest"), [(32, 128), (32, 1000), (8, 20)])
def test_buckets_are_those_of_transformers(bidirectional: bool, buckets: int, longest: int) -> None:
    distance = torch.arange(-1100, 1101)
    theirs = T5Attention._relative_position_bucket(distance, bidirectional, buckets, longest)
    ours = logarithmic_bucket(buckets, longest, bidirectional=bidirectional)(torch.zeros_like(distance), distance)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_the_bias_is_that_of_transformers(side: Side) -> None:
    scheme, length = _t5(side), 200
    config = T5Config(d_model=32, num_heads=HEADS, d_kv=8, is_decoder=side == "decoder")
    attention = T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    with torch.no_grad():
        attention.relative_attention_bias.weight.copy_(scheme.table.T)
        theirs = attention.compute_bias(length, length)  # [1, H, L, L]
        places = torch.arange(length)[None] + 7
        (term,) = scheme.score(None, None, places, places)
        torch.testing.assert_close(dense_bias(term, places, places), theirs, rtol=0, atol=0)


def test_a_cached_step_has_the_last_row_of_the_bias_of_x_transformers() -> None:
    scheme = _t5("decoder")
    theirs = RelativePositionBias(scale=1.0, causal=True, heads=HEADS)
    with torch.no_grad():
        theirs.relative_attention_bias.weight.copy_(scheme.table.T)
        places = torch.arange(150)[None]
        (term,) = scheme.score(None, None, places[:, -1:], places)
        step = dense_bias(term, places[:, -1:], places)[0]  # [H, 1, 150]
        torch.testing.assert_close(step, theirs(1, 150), rtol=0, atol=0)


def test_cross_attention_looks_both_ways() -> None:
    places = torch.arange(9)[None]
    ahead = [_t5("decoder", cross=cross).bucket(places[:, :1], places).unique().numel() for cross in (True, False)]
    assert ahead == [9, 1]


def test_layers_share_one_table() -> None:
    scheme = _t5("encoder")
    assert scheme.layer(0) is scheme.layer(1)


def test_a_distance_that_leaves_no_wide_bucket_is_refused() -> None:
    with pytest.raises(InputError, match="more than the 8 distances .* found 8"):
        _t5("encoder", max_distance=8)
