"""Disentangled attention against transformers' DebertaModel."""

import pytest
import torch
from transformers import DebertaConfig
from transformers.models.deberta.modeling_deberta import DisentangledSelfAttention, build_relative_position
from zoo_positional.deberta import Deberta
from zoo_positional.options import DebertaOptions

from zoo.models.contracts import StackContext
from zoo.testing.attention import dense_bias

HEADS, WIDTH, LENGTH = 4, 32, 11


@pytest.mark.parametrize("clip", [3, 64], ids=["clipped", "unclipped"])
@torch.no_grad()
def test_the_logits_are_those_of_transformers(clip: int) -> None:
    torch.manual_seed(3)
    context = StackContext(side="encoder", layers=2, d_model=WIDTH, heads=HEADS, max_positions=64)
    scheme = Deberta(DebertaOptions(clip=clip), context)
    scheme.table.normal_()
    part = scheme.layer(1)
    part.queries.bias.normal_()
    config = DebertaConfig(
        hidden_size=WIDTH,
        num_attention_heads=HEADS,
        max_relative_positions=clip,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
    )
    theirs = DisentangledSelfAttention(config).eval()
    theirs.pos_proj.weight.copy_(part.keys.weight)
    theirs.pos_q_proj.load_state_dict(part.queries.state_dict())
    q, k = torch.randn(2, HEADS, LENGTH, WIDTH // HEADS), torch.randn(2, HEADS, LENGTH, WIDTH // HEADS)
    scaled = q * (WIDTH // HEADS) ** -0.5 * part.logit_scale
    expected = theirs.disentangled_att_bias(scaled, k, build_relative_position(q, k), scheme.table, 3)
    places = torch.arange(LENGTH)[None] + 5
    found = sum(dense_bias(term, places, places) for term in part.score(scaled, k, places, places))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("clip", [3, 64], ids=["clipped", "unclipped"])
@torch.no_grad()
def test_a_decoder_has_the_same_logits_from_the_half_of_the_table_that_it_sees(clip: int) -> None:
    both, (q, k) = {}, torch.randn(2, 2, HEADS, LENGTH, WIDTH // HEADS)
    places = torch.arange(LENGTH)[None] + 5
    for side in ("encoder", "decoder"):
        torch.manual_seed(3)
        context = StackContext(side=side, layers=1, d_model=WIDTH, heads=HEADS, max_positions=64)
        terms = Deberta(DebertaOptions(clip=clip), context).layer(0).score(q, k, places, places)
        assert {term.table.shape[-1] for term in terms} == {clip if side == "decoder" else 2 * clip}
        both[side] = sum(dense_bias(term, places, places) for term in terms).tril()
    torch.testing.assert_close(both["decoder"], both["encoder"])


def test_three_terms_share_the_scale_and_layers_share_the_table() -> None:
    context = StackContext(side="encoder", layers=2, d_model=WIDTH, heads=HEADS, max_positions=64)
    scheme = Deberta(DebertaOptions(clip=4), context)
    assert scheme.layer(0).logit_scale == pytest.approx(3**-0.5)
    assert [name for name, _ in scheme.named_parameters() if name.endswith("table")] == ["table"]
    assert tuple(scheme.table.shape) == (8, WIDTH)
