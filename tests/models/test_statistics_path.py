"""Schemes with a value side: the log-sum-exp they are given is that of the attention they follow."""

from __future__ import annotations

import pytest
import torch

from zoo.models.attention import SelfAttention, View


@pytest.mark.parametrize("seen", ["all", "causal", "padding"])
def test_shaws_value_vectors_from_statistics_are_those_of_the_attention_matrix(make_model, seen):
    """Shaw et al. 2018, equations 1, 3 and 4 written out, against the host with a private Shaw scheme."""
    model = make_model("zoo-private/shaw-both-sides")
    scheme = model.encoder.position.layer(0)
    attention: SelfAttention = model.encoder.layers[0].self_attention
    x = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(2))
    places = torch.arange(7)[None]
    mask = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    if seen == "padding":
        mask[1, ..., 5:] = False
    view = View(places, places, mask if seen == "padding" else None, seen == "causal", "zoo_sdpa", terms=None)
    with torch.no_grad():
        found = attention(x, view, scheme)
        q, k, v = (part.view(2, 7, 4, 8).transpose(1, 2) for part in attention.qkv(x).chunk(3, dim=-1))
        distance = (places - places.T).clamp(-2, 2) + 2
        logits = torch.einsum("bhid,bhjd->bhij", q, k) + torch.einsum("bhid,ijd->bhij", q, scheme.keys[distance])
        visible = mask.expand(2, 1, 7, 7) & (places <= places.T) if seen == "causal" else mask
        weights = (logits / 8**0.5).masked_fill(~visible, -torch.inf).softmax(-1)
        values = v[:, :, None] + scheme.values[distance]  # [B, H, Lq, Lk, Dh]
        expected = attention.out(torch.einsum("bhij,bhijd->bihd", weights, values).reshape(2, 7, 32))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
