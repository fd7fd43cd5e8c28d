"""Relative biases and rotations in two dimensions, by hand."""

from collections.abc import Callable

import pytest
import torch
from zoo_vision.options import Rotary2dOptions
from zoo_vision.relative import distance_bucket
from zoo_vision.rotary import Rotary2d

from zoo.errors import InputError
from zoo.models.vision.contracts import REGISTER, PatchContext, place_of


def _at(row: int, column: int) -> torch.Tensor:
    return place_of(torch.tensor([row, column]))


def test_buckets_are_rows_before_columns_and_clipped_at_the_ends() -> None:
    bucket = distance_bucket(3, 2)  # 5 x 3 distances
    assert int(bucket(_at(4, 4), _at(4, 4))) == 2 * 3 + 1
    assert int(bucket(_at(4, 4), _at(5, 4))) == 1 * 3 + 1
    assert int(bucket(_at(4, 4), _at(4, 5))) == 2 * 3 + 0
    assert int(bucket(_at(9, 0), _at(0, 700))) == 4 * 3 + 0
    assert int(bucket(_at(0, 700), _at(90, 0))) == 0 * 3 + 2


def test_registers_have_buckets_of_their_own() -> None:
    bucket, register = distance_bucket(3, 2), torch.tensor(REGISTER)
    assert [int(bucket(register, _at(1, 1))), int(bucket(_at(1, 1), register)), int(bucket(register, register))] == [
        15,
        16,
        17,
    ]


def test_layers_have_tables_of_their_own_unless_they_share_one(scheme: Callable[..., torch.nn.Module]) -> None:
    apart, shared = (scheme("relative-bias-2d", shared=share) for share in (False, True))
    assert apart.layer(0) is apart.parts[0]
    assert shared.layer(0) is shared.layer(5)


def _rotary(width: int, registers: int = 0) -> Rotary2d:
    context = PatchContext(side="encoder", layers=1, d_model=width, heads=1, max_positions=8, registers=registers)
    return Rotary2d(Rotary2dOptions(base=100.0), context)


def test_features_turn_by_row_and_by_column() -> None:
    """A head of four features: the first pair by the row, the second by the column, each by one radian a step."""
    x = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 1, 1, 4)
    places = _at(2, 3).view(1, 1)
    turned, _, _ = _rotary(4).rotate(x, x, x, places, places)
    expected = torch.tensor([2.0, 2.0, 3.0, 3.0])
    expected = torch.stack((expected[0].cos(), expected[1].sin(), expected[2].cos(), expected[3].sin()))
    torch.testing.assert_close(turned.flatten(), expected)


def test_products_depend_on_distances_only_and_registers_are_not_turned() -> None:
    q, k = torch.randn(2, 1, 1, 2, 16, generator=torch.Generator().manual_seed(0))
    near, far = (torch.stack((_at(row, column), _at(row + 3, column + 5)))[None] for row, column in ((0, 0), (700, 90)))
    rotary = _rotary(16)
    for places in (near, far):
        turned = rotary.rotate(q, k, k, places, places)
        products = turned[0] @ turned[1].mT
        if places is near:
            expected = products
    torch.testing.assert_close(products, expected, rtol=0, atol=1e-4)
    registers = torch.full((1, 2), REGISTER)
    assert torch.equal(rotary.rotate(q, k, k, registers, registers)[0], q)
    assert (_rotary(16).shift_invariant, _rotary(16, registers=1).shift_invariant) == (True, False)


def test_a_head_that_has_no_two_axes_of_pairs_is_refused() -> None:
    with pytest.raises(InputError, match="divisible by 4, found 6"):
        _rotary(6)
