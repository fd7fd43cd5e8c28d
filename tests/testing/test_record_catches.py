"""The kit fails records and options that no user could read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import Field

from zoo.models.contracts import Position
from zoo.spec.options import Options
from zoo.testing import ComponentSuite, PositionSuite

Installed = Callable[..., ComponentSuite]
CAUGHT = (AssertionError, pytest.fail.Exception)


class Plain(Position):
    """Does nothing: nothing wrong with it."""


class Undescribed(Options):
    """Options that say nothing."""

    depth: int = 1
    width: int = Field(description="Documented and required")


class Loose(Options, frozen=False):
    """Options that may change."""


class Foreign:
    """No position scheme."""


def test_broken_records_and_options_are_caught(installed: Installed) -> None:
    suite = installed(PositionSuite, Plain, options=Undescribed, references=("Su et al.",), summary="x" * 200)
    for test, words in (
        ("test_every_option_is_described", "without a description: depth"),
        ("test_component_can_be_tried", "width must be given"),
        ("test_references_can_be_resolved", "expected arXiv"),
        ("test_summary_is_one_line", "200 characters"),
    ):
        with pytest.raises(CAUGHT, match=words):
            getattr(suite, test)()
    with pytest.raises(AssertionError, match="must be frozen"):
        installed(PositionSuite, Plain, options=Loose).test_options_are_frozen_and_refuse_unknown_keys()
    with pytest.raises(AssertionError, match="expected a subclass of zoo.models.contracts.Position"):
        installed(PositionSuite, Foreign).test_implementation_is_of_its_kind_and_documented()
    with pytest.raises((AssertionError, TypeError)):
        installed(PositionSuite, Plain, traits={"made": object()}).test_traits_are_plain_data()
