"""Digits that are rendered, and whose reader is trained, once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from zoo_generative.digits.task import PreparedDigits

from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.tasks import DataHome


@pytest.fixture(scope="session")
def digits_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a data home."""
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="session")
def digits(digits_home: Path) -> PreparedDigits:
    """The task with the options of its example: three digits, 27 modes."""
    record = current_registry().get("task", "zoo-generative/stacked-digits")
    options = record.load_options().model_validate(dict(record.traits["example"]))
    prepared = Chosen(record, options).create().prepare(DataHome(digits_home))
    assert isinstance(prepared, PreparedDigits)
    return prepared
