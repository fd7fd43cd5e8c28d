"""Rotary positions against Llama (half-split) and x-transformers (interleaved)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb
from x_transformers.x_transformers import RotaryEmbedding
from x_transformers.x_transformers import apply_rotary_pos_emb as apply_interleaved
from zoo_positional.options import RotaryOptions
from zoo_positional.rotary import Rotary

from zoo.errors import InputError
from zoo.models.contracts import StackContext

HEADS, WIDTH = 3, 16


def _rotary(**options: object) -> Rotary:
    context = StackContext(side="encoder", layers=2, d_model=HEADS * WIDTH, heads=HEADS, max_positions=64)
    return Rotary(RotaryOptions(**options), context)


def _heads(seed: int, length: int = 7) -> torch.Tensor:
    return torch.randn(2, HEADS, length, WIDTH, generator=torch.Generator().manual_seed(seed))


POSITIONS = torch.stack((torch.arange(7), torch.arange(40, 47)))


def test_half_split_is_the_rotation_of_llama() -> None:
    config = LlamaConfig(hidden_size=HEADS * WIDTH, num_attention_heads=HEADS, max_position_embeddings=64)
    q, k, v = _heads(0), _heads(1), _heads(2)
    cosine, sine = LlamaRotaryEmbedding(config)(q, POSITIONS)
    expected_q, expected_k = apply_rotary_pos_emb(q, k, cosine, sine)
    ours_q, ours_k, ours_v = _rotary().rotate(q, k, v, POSITIONS, POSITIONS)
    torch.testing.assert_close(ours_q, expected_q, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours_k, expected_k, rtol=0, atol=1e-5)
    assert torch.equal(ours_v, v)


@pytest.mark.parametrize("base", [10000.0, 500.0])
def test_interleaved_is_the_rotation_of_x_transformers(base: float) -> None:
    q, k, v = _heads(0), _heads(1), _heads(2)
    frequencies, scale = RotaryEmbedding(WIDTH, base=base)(POSITIONS)
    ours_q, ours_k, _ = _rotary(layout="interleaved", base=base).rotate(q, k, v, POSITIONS, POSITIONS)
    torch.testing.assert_close(ours_q, apply_interleaved(q, frequencies, scale), rtol=0, atol=1e-5)
    torch.testing.assert_close(ours_k, apply_interleaved(k, frequencies, scale), rtol=0, atol=1e-5)


def test_layouts_differ_by_a_permutation_of_features() -> None:
    to_halves = torch.cat((torch.arange(0, WIDTH, 2), torch.arange(1, WIDTH, 2)))
    q = _heads(0)
    half, _, _ = _rotary().rotate(q[..., to_halves], q, q, POSITIONS, POSITIONS)
    interleaved, _, _ = _rotary(layout="interleaved").rotate(q, q, q, POSITIONS, POSITIONS)
    torch.testing.assert_close(half, interleaved[..., to_halves], rtol=0, atol=1e-6)


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3000), st.sampled_from(["half-split", "interleaved"]))
def test_products_depend_on_the_distance_and_lengths_are_kept(i: int, j: int, shift: int, layout: str) -> None:
    scheme, q, k = _rotary(layout=layout), _heads(0, 1), _heads(1, 1)
    at = [torch.tensor([[position]]) for position in (i, j, i + shift, j + shift)]
    near_q, near_k, _ = scheme.rotate(q, k, k, at[0], at[1])
    far_q, far_k, _ = scheme.rotate(q, k, k, at[2], at[3])
    torch.testing.assert_close((near_q * near_k).sum(-1), (far_q * far_k).sum(-1), rtol=0, atol=1e-4)
    torch.testing.assert_close(near_q.norm(dim=-1), q.norm(dim=-1), rtol=1e-5, atol=0)


def test_position_zero_turns_nothing() -> None:
    q = _heads(0)
    turned, _, _ = _rotary().rotate(q, q, q, torch.zeros(1, 7, dtype=torch.long), torch.zeros(1, 7, dtype=torch.long))
    assert torch.equal(turned, q)


def test_half_precision_loses_only_the_rounding_of_its_inputs() -> None:
    """Angles in bfloat16 would put positions 256 and 257 on one spot."""
    q = _heads(0).bfloat16()
    positions = torch.arange(3000, 3007)[None]
    exact, _, _ = _rotary().rotate(q.double(), q.double(), q.double(), positions, positions)
    ours, _, _ = _rotary().rotate(q, q, q, positions, positions)
    torch.testing.assert_close(ours.double(), exact, rtol=2**-8, atol=2**-8)


def test_one_pass_computes_its_angles_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import zoo_positional.rotary as module

    calls = []
    original = module.angles
    monkeypatch.setattr(module, "angles", lambda *a: calls.append(1) or original(*a))
    scheme, q = _rotary(), _heads(0)
    scheme.embed(torch.zeros(2, 7, HEADS * WIDTH), POSITIONS)
    for layer in range(2):
        scheme.layer(layer).rotate(q, q, q, POSITIONS, POSITIONS)
    assert len(calls) == 1


def test_an_odd_head_width_is_refused() -> None:
    context = StackContext(side="encoder", layers=1, d_model=9, heads=3, max_positions=8)
    with pytest.raises(InputError, match="even, found 3"):
        Rotary(RotaryOptions(), context)


@pytest.mark.parametrize("layout", ["half-split", "interleaved"])
@pytest.mark.parametrize("inverse", [False, True], ids=["rotate", "inverse"])
def test_rotated_values_are_those_of_the_equation(layout: str, inverse: bool) -> None:
    """``o_i = R_-i sum_j a_ij R_j v_j`` with rotation matrices written out, in float64."""
    scheme = _rotary(layout=layout, values="inverse" if inverse else "rotate")
    value = _heads(3)[:1].double()
    weights = torch.rand(1, HEADS, 7, 7, generator=torch.Generator().manual_seed(4), dtype=torch.float64)

    def matrix(position: int) -> torch.Tensor:
        turn = torch.zeros(WIDTH, WIDTH, dtype=torch.float64)
        for m in range(WIDTH // 2):
            first, second = (m, m + WIDTH // 2) if layout == "half-split" else (2 * m, 2 * m + 1)
            angle = torch.tensor(position / 10000 ** (2 * m / WIDTH), dtype=torch.float64)
            turn[first, first] = turn[second, second] = angle.cos()
            turn[second, first], turn[first, second] = angle.sin(), -angle.sin()
        return turn

    places = [40 + index for index in range(7)]
    turned = torch.stack([value[0, :, j] @ matrix(at).T for j, at in enumerate(places)], dim=1)  # [H, L, Dh]
    expected = weights[0] @ turned  # [H, L, Dh]
    if inverse:
        expected = torch.stack([expected[:, i] @ matrix(-at).T for i, at in enumerate(places)], dim=1)
    at = POSITIONS[1:]
    _, _, rotated = scheme.rotate(value, value, value, at, at)
    found = scheme.output(weights @ rotated, None, at)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_only_values_that_are_turned_back_leave_a_shift_unseen() -> None:
    assert [_rotary(values=values).shift_invariant for values in ("none", "rotate", "inverse")] == [True, False, True]
