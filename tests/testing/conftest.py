"""A registry that holds one component made in the test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from zoo.registry import Component, LoadPolicy, PluginReport, RegisteredComponent, Registry, use_registry
from zoo.registry.discovery import discover
from zoo.spec.options import Chosen

if TYPE_CHECKING:
    # Not at run time: pytest reads this file before it starts its workers, which then wait while torch is imported.
    from zoo.testing import ComponentSuite

Installed: TypeAlias = "Callable[..., ComponentSuite]"
Run = Callable[..., None]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """Registers an implementation as ``stranger/tested`` and gives its suite."""
    with ExitStack() as stack:

        def install(
            suite: type[ComponentSuite],
            implementation: Any,
            *,
            options: Any = None,
            traits: Mapping[str, Any] | None = None,
            **record: Any,
        ) -> ComponentSuite:
            module = ModuleType("stranger_components")
            module.implementation, module.options = implementation, options  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, module.__name__, module)
            component = Component(
                kind=suite.kind,
                name="tested",
                target="stranger_components:implementation",
                options="stranger_components:options" if options is not None else None,
                traits=traits or {},
                **{"summary": "A component made in a test", **record},
            )
            found = discover(LoadPolicy(), entry_points=[])
            found.components.append(RegisteredComponent(component, "stranger", "0"))
            found.reports.append(PluginReport("stranger", "0", "stranger", module.__name__, status="ok"))
            stack.enter_context(use_registry(Registry(found)))
            return type("TestStranger", (suite,), {"component": "stranger/tested"})()

        yield install


@pytest.fixture
def run() -> Run:
    """``run(suite, "test_name", *arguments)``: the test of a suite for its component with the default options."""

    def run_one(suite: ComponentSuite, test: str, *arguments: Any) -> None:
        record = suite.registered()
        getattr(suite, test)(Chosen(record, record.load_options()()), *arguments)

    return run_one
