"""Shaw's relative positions against the paper's equations, written out in float64."""

import pytest
import torch
from zoo_positional.options import ShawOptions
from zoo_positional.shaw import Shaw

from zoo.models.contracts import StackContext
from zoo.testing.attention import ReferenceAttention

HEADS, HEAD_DIM, LENGTH, CLIP = 3, 4, 9, 2
WIDTH = HEADS * HEAD_DIM


def _shaw(*, values: bool) -> Shaw:
    torch.manual_seed(4)
    context = StackContext(side="encoder", layers=2, d_model=WIDTH, heads=HEADS, max_positions=64)
    return Shaw(ShawOptions(clip=CLIP, values=values), context).double()


def _equations(scheme: Shaw, layer: int, x: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """Equations 3 and 4 of Shaw et al. 2018, one pair of tokens after the other. x ``[L, D]`` -> ``[L, D]``."""
    part = scheme.layer(layer)
    weights = ReferenceAttention(WIDTH, HEADS).weights.double()
    out = torch.zeros_like(x)
    for h in range(HEADS):
        columns = slice(h * HEAD_DIM, (h + 1) * HEAD_DIM)
        q, k, v = (x @ weight[:, columns] for weight in weights)
        for i in range(len(x)):
            seen = range(i + 1) if causal else range(len(x))
            at = [min(max(j - i, -CLIP), CLIP) + CLIP for j in seen]
            e = torch.stack([q[i] @ (k[j] + part.keys[a]) / HEAD_DIM**0.5 for j, a in zip(seen, at, strict=True)])
            value = [v[j] + (part.values[a] if part.values is not None else 0) for j, a in zip(seen, at, strict=True)]
            out[i, columns] = e.softmax(0) @ torch.stack(value)
    return out


@pytest.mark.parametrize("values", [False, True], ids=["k", "k+v"])
@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_attention_is_that_of_the_equations(values: bool, causal: bool) -> None:
    scheme, x = _shaw(values=values), torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
    places = torch.arange(LENGTH)[None] + 30
    for layer in range(2):
        found = ReferenceAttention(WIDTH, HEADS)(scheme, x, places, causal=causal, layer=layer)[0]
        torch.testing.assert_close(found, _equations(scheme, layer, x[0], causal=causal), rtol=0, atol=1e-6)


def test_tables_are_separate_for_layers_keys_and_values_and_shared_by_heads() -> None:
    scheme = _shaw(values=True)
    shapes = {name: tuple(item.shape) for name, item in scheme.named_parameters()}
    assert shapes == {f"layers.{i}.{side}": (2 * CLIP + 1, HEAD_DIM) for i in (0, 1) for side in ("keys", "values")}
    assert len({item.data_ptr() for item in scheme.parameters()}) == 4


def test_without_value_vectors_nothing_of_the_attention_is_asked_for() -> None:
    assert not _shaw(values=False).layer(0).needs_statistics
    assert _shaw(values=True).layer(0).needs_statistics
    assert all("values" not in name for name, _ in _shaw(values=False).named_parameters())
