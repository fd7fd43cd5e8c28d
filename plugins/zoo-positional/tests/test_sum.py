"""Sums of schemes."""

import pytest
import torch
from pydantic import ValidationError
from zoo_positional.options import SumOptions
from zoo_positional.sum import Sum

from zoo.models.contracts import Position, StackContext
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.testing.attention import ReferenceAttention, dense_bias

HEADS, WIDTH = 3, 24
CONTEXT = StackContext(side="encoder", layers=2, d_model=WIDTH, heads=HEADS, max_positions=32)
PLACES = torch.arange(6)[None] + 4


def _sum(*members: object) -> Sum:
    torch.manual_seed(8)
    return Sum(SumOptions.model_validate({"of": list(members)}), CONTEXT)


def _attention(scheme: Position, x: torch.Tensor, layer: int = 0) -> torch.Tensor:
    return ReferenceAttention(WIDTH, HEADS)(scheme, x, PLACES, layer=layer)


def test_a_sum_of_one_is_that_one() -> None:
    x = torch.randn(2, 6, WIDTH)
    for name in ("sinusoidal", "rotary", "shaw", "deberta", "p-transformer"):
        scheme = _sum(name)
        for layer in range(2):
            torch.testing.assert_close(_attention(scheme, x, layer), _attention(scheme.members[0], x, layer))


def test_absolute_and_relative_act_together() -> None:
    x, scheme = torch.randn(2, 6, WIDTH), _sum("sinusoidal", {"use": "shaw", "clip": 2})
    absolute, relative = scheme.members
    torch.testing.assert_close(_attention(scheme, x, 1), _attention(relative, absolute.embed(x, PLACES), 1))


def test_biases_add_up() -> None:
    scheme = _sum("alibi", "t5")
    total = sum(dense_bias(term, PLACES, PLACES) for term in scheme.score(None, None, PLACES, PLACES))
    each = [dense_bias(member.score(None, None, PLACES, PLACES)[0], PLACES, PLACES) for member in scheme.members]
    torch.testing.assert_close(total, each[0] + each[1])
    assert scheme.layer(1) is scheme, "layers that share every member share their bias"


@pytest.mark.parametrize("order", [1, -1])
def test_outputs_are_rotated_back_before_value_vectors_are_added(order: int) -> None:
    """With keys and queries of no account, a sum of value vectors and inverse rotation does not see a shift."""
    scheme = _sum(*[{"use": "shaw", "clip": 2}, {"use": "rotary", "values": "inverse"}][::order])
    shaw = scheme.members[0 if order == 1 else 1]
    with torch.no_grad():
        for part in shaw.layers:
            part.keys.zero_()
    x = torch.randn(2, 6, WIDTH)
    near = ReferenceAttention(WIDTH, HEADS)(scheme, x, PLACES)
    torch.testing.assert_close(ReferenceAttention(WIDTH, HEADS)(scheme, x, PLACES + 9), near, rtol=0, atol=1e-5)


def test_a_sum_in_a_sum_is_the_sum_of_all() -> None:
    """The inner sum's value vectors are no part of what the outer rotation has turned."""
    outer, inner, shaw = (
        {"use": "rotary", "values": "inverse"},
        {"use": "rotary", "values": "inverse", "base": 50.0},
        {
            "use": "shaw",
            "clip": 2,
        },
    )
    nested, flat = _sum(outer, {"use": "sum", "of": [inner, shaw]}), _sum(outer, inner, shaw)
    with torch.no_grad():
        for mine, other in zip(nested.parameters(), flat.parameters(), strict=True):
            mine.copy_(other)
    x = torch.randn(2, 6, WIDTH)
    torch.testing.assert_close(_attention(nested, x, 1), _attention(flat, x, 1))


def test_two_inverse_rotations_undo_each_other_in_turn() -> None:
    """In layouts that turn other pairs of features rotations do not commute."""
    layouts = [{"use": "rotary", "values": "inverse", "layout": layout} for layout in ("half-split", "interleaved")]
    scheme, head = _sum(*layouts), torch.randn(2, HEADS, 6, WIDTH // HEADS)
    _, _, value = scheme.rotate(head, head, head, PLACES, PLACES)
    torch.testing.assert_close(scheme.output(value, None, PLACES), head, rtol=0, atol=1e-5)


def test_what_is_true_of_the_sum_follows_from_its_members() -> None:
    assert _sum("alibi", "t5").shift_invariant
    assert not _sum("alibi", "sinusoidal").shift_invariant
    assert not _sum("rotary", "shaw").shift_invariant, "Shaw's vectors meet queries that are rotated"
    assert _sum("sinusoidal", "learned").position_limit == 32
    assert _sum("deberta", "alibi").logit_scale == pytest.approx(3**-0.5)


def test_members_have_weights_of_their_own() -> None:
    names = [name for name, _ in _sum("t5", {"use": "sum", "of": ["t5", "learned"]}).named_parameters()]
    assert sorted(names) == ["members.0.table", "members.1.members.0.table", "members.1.members.1.table"]


def test_a_sum_of_nothing_and_an_unknown_member_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1"):
        SumOptions.model_validate({"of": []})
    with pytest.raises(ValidationError, match="rotary"):
        SumOptions.model_validate({"of": ["rotry"]})


def test_a_chosen_component_is_its_own_copy() -> None:
    import copy

    record = current_registry().get("position", "sum")
    chosen = Chosen(record, SumOptions.model_validate({"of": ["t5"]}))
    assert copy.deepcopy(chosen) is chosen
