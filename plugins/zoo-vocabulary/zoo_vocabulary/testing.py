"""What is asked of initialisations of new rows."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import Generator, Tensor

from zoo.spec.options import Chosen
from zoo.testing.module import random_tensor
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings
from zoo_vocabulary.contracts import NewTokens, VocabularyInit

ROWS, WIDTH = 12, 6
PIECES = ((3, 4), (0,), (5, 5, 7), (11,))


def new_tokens(old: Tensor | None = None, pieces: tuple[tuple[int, ...], ...] = PIECES, seed: int = 3) -> NewTokens:
    """Four new tokens of a small matrix."""
    old = random_tensor(ROWS, WIDTH) if old is None else old
    return NewTokens(old, pieces, Generator().manual_seed(seed))


class VocabularyInitSuite(ComponentSuite):
    """Initialisations of new rows: see `zoo_vocabulary.contracts.VocabularyInit`."""

    kind: ClassVar[str] = "vocabulary-init"

    def create(self, chosen: Chosen) -> VocabularyInit:
        """The initialisation, as the host builds it."""
        init: VocabularyInit = chosen.create()
        assert isinstance(init, VocabularyInit)
        return init

    def test_one_finite_row_a_token(self, chosen: Chosen) -> None:
        rows = self.create(chosen).rows(new_tokens())
        assert tuple(rows.shape) == (len(PIECES), WIDTH)
        assert rows.is_floating_point()
        assert torch.isfinite(rows).all()

    def test_no_tokens_have_no_rows(self, chosen: Chosen) -> None:
        assert tuple(self.create(chosen).rows(new_tokens(pieces=())).shape) == (0, WIDTH)

    def test_a_bias_is_a_matrix_of_one_column(self, chosen: Chosen) -> None:
        rows = self.create(chosen).rows(new_tokens(random_tensor(ROWS, 1)))
        assert tuple(rows.shape) == (len(PIECES), 1)

    def test_more_columns_than_rows_are_no_trouble(self, chosen: Chosen) -> None:
        rows = self.create(chosen).rows(new_tokens(random_tensor(ROWS, 3 * ROWS)))
        assert torch.isfinite(rows).all()

    def test_what_is_forbidden_is_not_averaged(self, chosen: Chosen) -> None:
        """A bias of -inf forbids a token; only who copies that very token may forbid the new one."""
        old = random_tensor(ROWS, 1)
        old[8] = -torch.inf  # no piece of a new token
        assert torch.isfinite(self.create(chosen).rows(new_tokens(old))).all()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
    def test_matrices_in_other_types_are_taken(self, chosen: Chosen, dtype: torch.dtype) -> None:
        assert torch.isfinite(self.create(chosen).rows(new_tokens(random_tensor(ROWS, WIDTH).to(dtype)))).all()

    def test_draws_come_from_the_given_generator_alone(self, chosen: Chosen) -> None:
        init, old = self.create(chosen), random_tensor(ROWS, WIDTH)
        with untouched_surroundings():
            first, again = (init.rows(new_tokens(old)) for _ in range(2))
        assert torch.equal(first, again), "there is another source of randomness"
        assert torch.equal(old, random_tensor(ROWS, WIDTH)), "the old rows were written to"
