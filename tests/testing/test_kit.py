"""How the kit is found and what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zoo.registry import Kind, current_registry
from zoo.testing import ComponentSuite, PositionSuite, conformance_suites
from zoo.testing.conformance import suite_of


def test_every_installed_component_has_a_suite_of_its_own() -> None:
    suites = conformance_suites()
    covered = {(suite.kind, suite.component) for suite in suites.values()}
    assert covered == {(item.kind, item.id) for item in current_registry().components()}
    assert len(suites) == len(covered)
    assert all(name.startswith("Test") for name in suites)


def test_suites_can_be_narrowed_to_a_kind_and_a_distribution() -> None:
    suites = conformance_suites(kind="position", distribution="zoo-positional")
    positions = {item.id for item in current_registry().components("position")}
    assert {suite.component for suite in suites.values()} == {
        id_ for id_ in positions if id_.startswith("zoo-positional/")
    }
    assert "zoo-positional/rotary" in positions
    assert all(issubclass(suite, PositionSuite) for suite in suites.values())


def test_every_kind_of_the_core_declares_a_suite_that_exists() -> None:
    for kind in current_registry().kinds.values():
        assert suite_of(kind).kind == kind.name


def test_a_kind_without_a_suite_is_checked_for_its_records() -> None:
    assert suite_of(Kind("probe", "Reads a model", "zoo.models.contracts:Position")) is ComponentSuite


def test_a_suite_that_is_none_is_refused() -> None:
    kind = Kind("probe", "Reads a model", "zoo.models.contracts:Position", suite="zoo.testing.module:close")
    with pytest.raises(TypeError, match="not a zoo.testing.ComponentSuite"):
        suite_of(kind)


@pytest.mark.slow
def test_the_kit_needs_pytest_and_nothing_else_of_the_test_environment() -> None:
    """What ``pip install zoo-registry[bench]`` does not bring is made unimportable."""
    absent = ("hypothesis", "jsonschema", "selenium", "x_transformers", "xdist", "pytest_timeout", "hatchling")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r})); import zoo.testing; "
        "print(len(zoo.testing.conformance_suites()))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) == len(conformance_suites())
