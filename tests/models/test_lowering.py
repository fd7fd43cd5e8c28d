"""Terms written out against their definition, element by element, and against the fused form."""

from __future__ import annotations

import itertools

import pytest
import torch

from zoo.models.contracts import Dense, Formula, KeyTable, QueryTable, StaticTable
from zoo.models.lowering import additive_bias, additive_mask, bias_of_pairs, fuses, score_mod

B, H, LQ, LK, N = 2, 3, 4, 5, 7


def bucket(q, k):
    return (k - q).clamp(-3, 3) + 3


def formula(columns, q, k):
    slope, lean = columns
    return -slope * (q - k).abs() + lean * (q > k)


@pytest.fixture
def positions():
    # Left padding and an offset: no position is its index.
    q = torch.tensor([[3, 4, 5, 6], [1, 2, 3, 4]])
    k = torch.tensor([[2, 3, 4, 5, 6], [0, 1, 2, 3, 4]])
    return q, k


TERMS = ("static", "query", "key", "formula", "dense", "one-dense")


def make_term(name: str):
    draw = torch.Generator().manual_seed(5)
    return {
        "static": StaticTable(torch.randn(H, N, generator=draw), bucket),
        "query": QueryTable(torch.randn(B, H, LQ, N, generator=draw), bucket),
        "key": KeyTable(torch.randn(B, H, LK, N, generator=draw), bucket),
        "formula": Formula(torch.rand(H, 2, generator=draw), formula),
        "dense": Dense(torch.randn(B, H, LQ, LK, generator=draw)),
        "one-dense": Dense(torch.randn(1, H, LQ, LK, generator=draw)),
    }[name]


def definition(name: str, b: int, h: int, i: int, j: int, q, k) -> torch.Tensor:
    """The bias of one query and key as the contract's docstrings state it."""
    term, at = make_term(name), (q[b, i], k[b, j])
    if name == "static":
        return term.table[h, bucket(*at)]
    if name == "query":
        return term.table[b, h, i, bucket(*at)]
    if name == "key":
        return term.table[b, h, j, bucket(*at)]
    if name == "formula":
        return formula((term.parameters[h, 0], term.parameters[h, 1]), *at)
    return term.bias[b if name == "dense" else 0, h, i, j]


@pytest.mark.parametrize("name", TERMS)
def test_a_term_written_out_is_its_definition(name, positions):
    bias = additive_bias([make_term(name)], *positions).expand(B, H, LQ, LK)
    for b, h, i, j in itertools.product(range(B), range(H), range(LQ), range(LK)):
        assert bias[b, h, i, j] == pytest.approx(float(definition(name, b, h, i, j, *positions)), abs=1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_inside_a_kernel_is_its_definition(name, positions):
    modify = score_mod([make_term(name)], *positions, visible=None, causal=False)
    assert modify is not None
    for place in itertools.product(range(B), range(H), range(LQ), range(LK)):
        changed = modify(torch.tensor(0.25), *(torch.tensor(index) for index in place))
        assert float(changed) == pytest.approx(0.25 + float(definition(name, *place, *positions)), abs=1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_of_some_pairs_is_that_part_of_the_term_written_out(name, positions):
    keys = torch.tensor([[0, 4, 2], [1, 1, 3], [4, 0, 0], [2, 3, 1]])
    found = bias_of_pairs([make_term(name)], *positions, keys).expand(B, H, LQ, 3)
    whole = additive_bias([make_term(name)], *positions).expand(B, H, LQ, LK)
    torch.testing.assert_close(found, whole.gather(-1, keys.expand(B, H, LQ, 3)))


def test_terms_add_up(positions):
    terms = [make_term(name) for name in TERMS]
    total = sum(additive_bias([term], *positions) for term in terms)
    torch.testing.assert_close(additive_bias(terms, *positions), total)


def test_only_a_written_out_bias_does_not_fuse():
    assert fuses([make_term(name) for name in ("static", "query", "key", "formula")])
    assert not fuses([make_term("static"), make_term("dense")])


def test_hidden_entries_get_the_lowest_number_and_seen_ones_the_bias(positions):
    term = make_term("static")
    visible = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]).bool()[:, None, None]
    mask = additive_mask([term], *positions, visible=visible, causal=False, dtype=torch.float32)
    bias = additive_bias([term], *positions)
    assert (mask[0, ..., -1] == torch.finfo(torch.float32).min).all()
    torch.testing.assert_close(mask[0, ..., :-1], bias[0, ..., :-1])
    torch.testing.assert_close(mask[1], bias[1])


def test_causal_hides_what_comes_later():
    square = torch.arange(4)[None]
    mask = additive_mask([make_term("static")], square, square, visible=None, causal=True, dtype=torch.float32)
    hidden = mask[0, 0] == torch.finfo(torch.float32).min
    assert hidden.tolist() == [[j > i for j in range(4)] for i in range(4)]


def test_nothing_to_change_is_no_score_mod():
    assert score_mod([], None, None, visible=None, causal=False) is None
