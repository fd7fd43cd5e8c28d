"""P-Transformer's attention against its equations, written out in float64."""

import pytest
import torch
from pydantic import ValidationError
from zoo_positional.options import PTransformerOptions, SinusoidalOptions
from zoo_positional.p_transformer import PTransformer
from zoo_positional.sinusoidal import Sinusoidal

from zoo.models.contracts import StackContext
from zoo.testing.attention import ReferenceAttention

HEADS, HEAD_DIM, LENGTH, CLIP = 3, 4, 7, 2
WIDTH = HEADS * HEAD_DIM


def _context(*, cross: bool = False) -> StackContext:
    return StackContext(side="decoder", layers=2, d_model=WIDTH, heads=HEADS, max_positions=64, cross=cross)


@pytest.mark.parametrize("relative", ["none", "shaw-keys", "shaw-keys-and-values"])
@torch.no_grad()
def test_attention_is_that_of_the_equations(relative: str) -> None:
    """Q = (X + P) Wq, K = (X + P) Wk, V = X Wv; relative vectors as Shaw et al. 2018 have them."""
    torch.manual_seed(6)
    clip = {} if relative == "none" else {"clip": CLIP}
    scheme = PTransformer(PTransformerOptions(relative=relative, **clip), _context()).double()
    x, places = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64), torch.arange(LENGTH)[None] + 20
    code = Sinusoidal(SinusoidalOptions(), _context()).encode(places).double()
    wq, wk, wv = ReferenceAttention(WIDTH, HEADS).weights.double()
    q, k, v = (
        item[0].view(LENGTH, HEADS, HEAD_DIM).transpose(0, 1)  # [H, L, Dh]
        for item in ((x + code) @ wq, (x + code) @ wk, x @ wv)
    )
    distance = (places - places.T).clamp(-CLIP, CLIP) + CLIP  # [L, L]
    keys, values = k[:, None].expand(-1, LENGTH, -1, -1), v[:, None].expand(-1, LENGTH, -1, -1)  # [H, L, L, Dh]
    if relative != "none":
        keys = keys + scheme.members[1].layer(1).keys[distance]
    if relative == "shaw-keys-and-values":
        values = values + scheme.members[1].layer(1).values[distance]
    logits = torch.einsum("hid,hijd->hij", q, keys) / HEAD_DIM**0.5
    later = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    weights = logits.masked_fill(later, -torch.inf).softmax(-1)
    expected = torch.einsum("hij,hijd->ihd", weights, values).reshape(LENGTH, WIDTH)
    found = ReferenceAttention(WIDTH, HEADS)(scheme, x, places, causal=True, layer=1)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_clip_without_relative_positions_is_refused() -> None:
    with pytest.raises(ValidationError, match="clip 4 is for relative positions"):
        PTransformerOptions(relative="none", clip=4)


def test_embeddings_are_left_alone_and_cross_attention_has_no_relative_part() -> None:
    x = torch.randn(1, 3, WIDTH)
    scheme = PTransformer(PTransformerOptions(), _context())
    assert torch.equal(scheme.embed(x, torch.arange(3)[None]), x)
    assert not list(PTransformer(PTransformerOptions(), _context(cross=True)).parameters())
    assert list(scheme.parameters())


def test_one_pass_computes_its_sinusoids_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = Sinusoidal.encode
    monkeypatch.setattr(Sinusoidal, "encode", lambda *a: calls.append(1) or original(*a))
    scheme, x, places = PTransformer(PTransformerOptions(), _context()), torch.zeros(1, 3, WIDTH), torch.arange(3)[None]
    scheme.embed(x, places)
    for layer in range(2):
        scheme.layer(layer).inputs(x, places)
    assert len(calls) == 1
