"""Schemes with a value side: the log-sum-exp they are given is that of the attention they follow."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.models.attention import SelfAttention, View
from zoo.models.distance import masses_of_matrix
from zoo.models.visibility import Padding, same_segment, segment_positions


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


LONG = 45
"""Tokens: several blocks of the banded products, and far from a multiple of their size."""


def _layout(name: str) -> dict[str, object]:
    """Keyword arguments of a view of two rows of LONG tokens."""
    counted, padded = torch.arange(LONG)[None], torch.ones(2, LONG, dtype=torch.long)
    if name == "packed":
        segments = torch.tensor([[1] * 20 + [2] * 3 + [3] * 22, [1] * 1 + [2] * 44])
        positions = segment_positions(segments)
        return {"q_positions": positions, "k_positions": positions, "mask": same_segment(segments, segments)}
    if name == "left":
        padded[1, :7] = 0
    padding = Padding.of(padded)
    counted = padding.positions(LONG, counted.device)
    return {"q_positions": counted, "k_positions": counted, "mask": padding.keys()}


@pytest.mark.parametrize("backend", ["zoo_sdpa", pytest.param("zoo_flex", marks=pytest.mark.slow)])
@pytest.mark.parametrize("layout", ["full", "left", "packed"])
@pytest.mark.parametrize("side", ["encoder", "decoder"])
@torch.no_grad()
def test_a_fused_value_side_is_that_of_the_attention_written_out(make_model, backend, layout, side):
    """The schemes: Shaw's vectors with more terms beside them, all of which are part of the attention."""
    position = {"use": "sum", "of": [{"use": "shaw", "clip": 3}, "alibi", "deberta"]}
    model = make_model(position)
    stack = model.encoder if side == "encoder" else model.decoder
    scheme, attention = stack.schemes()[0], stack.layers[0].self_attention
    kept = _layout(layout)
    causal = False
    if side == "decoder":
        visible = torch.ones(LONG, LONG, dtype=torch.bool).tril()[None, None]
        causal = layout == "full"
        kept["mask"] = None if causal else visible & kept["mask"] | torch.eye(LONG, dtype=torch.bool)
    x = torch.randn(2, LONG, 32, generator=torch.Generator().manual_seed(2))
    outputs = {}
    for name in ("zoo_eager", backend):
        view = View(**kept, causal=causal, backend=name, terms=None, consecutive=True, backwards=side == "decoder")
        outputs[name] = attention(x, view, scheme)
        assert attention.ran == name
    real = slice(7, None) if layout == "left" else slice(None)  # padding sees itself, and is never looked at
    torch.testing.assert_close(outputs[backend][:, real], outputs["zoo_eager"][:, real], atol=2e-5, rtol=1e-4)


def test_masses_sum_the_attention_by_clipped_distance():
    draw = torch.Generator().manual_seed(3)
    attention = torch.rand(2, 3, 4, 6, generator=draw).softmax(-1)
    q, k = torch.tensor([[2, 3, 4, 5], [9, 7, 8, 1]]), torch.tensor([[0, 1, 2, 3, 4, 5], [1, 7, 9, 8, 2, 0]])
    masses = masses_of_matrix(attention, q, k, 2)
    for b, h, i, at in itertools.product(range(2), range(3), range(4), range(5)):
        seen = [j for j in range(6) if min(max(int(k[b, j] - q[b, i]), -2), 2) + 2 == at]
        assert masses[b, h, i, at].item() == pytest.approx(attention[b, h, i, seen].sum().item(), abs=1e-6)


def test_attention_is_written_out_where_tokens_may_stand_anywhere(make_model, sentences):
    """Positions that a caller gives need not be consecutive: the diagonals would be the wrong ones."""
    model = make_model({"use": "shaw", "clip": 2}, attention="sdpa")
    places = torch.tensor([[5, 3, 0, 9, 1, 2]])
    order = places.argsort()[0]
    with torch.no_grad():
        shuffled = model.encoder(sentences["input_ids"][:1], position_ids=places).last_hidden_state
        assert model.attention_backend == "eager"
        sorted_ = model.encoder(sentences["input_ids"][:1, order], position_ids=places[:, order]).last_hidden_state
    torch.testing.assert_close(shuffled[:, order], sorted_, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("rows", "gaps"),
    [([[1, 1, 1, 0]], False), ([[0, 0, 1, 1]], False), ([[1, 0, 1, 1]], True), ([[1, 1, 1, 1], [0, 1, 0, 1]], True)],
)
def test_padding_knows_of_gaps_between_real_tokens(rows, gaps):
    assert Padding.of(torch.tensor(rows)).gaps == gaps


def test_a_mask_with_a_gap_gives_the_states_of_the_sentence_without(make_model, sentences):
    model = make_model({"use": "shaw", "clip": 1}, attention="sdpa")
    tokens = sentences["input_ids"][:1]
    holed = torch.cat((tokens[:, :2], torch.full((1, 3), 9), tokens[:, 2:]), dim=1)
    mask = torch.tensor([[1, 1, 0, 0, 0, 1, 1, 1, 1]])
    with torch.no_grad():
        found = model.encoder(holed, mask).last_hidden_state[:, mask[0].bool()]
        torch.testing.assert_close(found, model.encoder(tokens).last_hidden_state, atol=1e-5, rtol=1e-4)


class Large(TorchDispatchMode):
    """Notes the operations that make a tensor of at least `size` numbers; views make none."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.made = size, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        first = out[0] if isinstance(out, tuple) else out
        if isinstance(first, torch.Tensor) and first.is_floating_point() and not func.is_view:
            self.made += [func.overloadpacket.__name__] * (first.numel() >= self.size)
        return out


def test_scores_are_made_near_the_diagonal_alone_where_a_kernel_gives_the_log_sum_exp(make_model):
    """On a CPU the bias is written out, as the kernel's mask; products and probabilities are not."""
    length, heads = 400, 4
    model = make_model({"use": "shaw", "clip": 2})
    attention, scheme = model.decoder.layers[0].self_attention, model.decoder.schemes()[0]
    x, places, made = torch.randn(1, length, 32), torch.arange(length)[None], {}
    for backend in ("zoo_eager", "zoo_sdpa"):
        view = View(places, places, None, True, backend, None, consecutive=True, backwards=True)
        with torch.no_grad(), Large(heads * length * length) as large:
            attention(x, view, scheme)
        made[backend] = large.made
        assert attention.ran == backend
    assert {"bmm", "exp"} <= set(made["zoo_eager"])
    assert set(made["zoo_sdpa"]) == {"gather", "masked_fill_"}, "one bias, in which what is hidden is then set"
