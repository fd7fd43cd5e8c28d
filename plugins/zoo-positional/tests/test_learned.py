"""Learned positions."""

import pytest
import torch
from zoo_positional.learned import Learned
from zoo_positional.options import LearnedOptions

from zoo.errors import InputError
from zoo.models.contracts import StackContext


def _learned(positions: int = 6, **options: object) -> Learned:
    context = StackContext(side="encoder", layers=1, d_model=8, heads=2, max_positions=positions)
    return Learned(LearnedOptions(**options), context)


def test_each_token_gets_the_row_of_its_position() -> None:
    scheme = _learned()
    positions = torch.tensor([[5, 0, 2]])
    assert torch.equal(scheme.embed(torch.zeros(1, 3, 8), positions)[0], scheme.table[[5, 0, 2]])


def test_the_last_position_of_the_table_can_be_used() -> None:
    assert _learned(6).embed(torch.zeros(1, 1, 8), torch.tensor([[5]])).shape == (1, 1, 8)


def test_a_position_past_the_table_is_named_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"position 6 is past the table .*max_positions: 6.*larger table"):
        _learned(6).embed(torch.zeros(1, 2, 8), torch.tensor([[0, 6]]))


def test_the_host_is_told_where_the_table_ends() -> None:
    assert _learned(6).position_limit == 6


def test_the_table_starts_with_the_standard_deviation_asked_for() -> None:
    torch.manual_seed(0)
    # 40,000 draws: the standard error of the estimate is 0.35%.
    assert _learned(5000, std=0.5).table.std().item() == pytest.approx(0.5, rel=0.02)
    assert not _learned(std=0.0).table.any()


def test_only_positions_that_occur_are_trained() -> None:
    scheme = _learned()
    scheme.embed(torch.zeros(1, 2, 8), torch.tensor([[1, 3]])).sum().backward()
    assert scheme.table.grad is not None
    assert scheme.table.grad.any(dim=1).tolist() == [False, True, False, True, False, False]
