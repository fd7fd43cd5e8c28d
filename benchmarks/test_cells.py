"""The cells of every spec in specs/: smoke tests as they are, benchmarks with ``pytest --benchmark``."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.zoo_cells("specs/*.yaml")
def test_cell(zoo_cell: Callable[[], object]) -> None:
    zoo_cell()
