"""One suite for each installed component, so that a single test file covers them all."""

from __future__ import annotations

import importlib
import re

from zoo.registry import Kind, RegisteredComponent, Registry, current_registry
from zoo.testing.suite import ComponentSuite


def conformance_suites(
    registry: Registry | None = None, *, kind: str | None = None, distribution: str | None = None
) -> dict[str, type[ComponentSuite]]:
    """Test classes by name, one a component, for ``globals().update(...)`` in a test module.

    `kind` and `distribution` narrow the choice. A kind that declares no suite is checked by `ComponentSuite`: its
    record and its options, not its behaviour.
    """
    registry = registry or current_registry()
    suites: dict[str, type[ComponentSuite]] = {}
    for component in registry.components(kind):
        if distribution is None or component.distribution == distribution:
            base = suite_of(registry.kind(component.kind))
            name = _class_name(component)
            suites[name] = type(name, (base,), {"kind": component.kind, "component": component.id})
    return suites


def suite_of(kind: Kind) -> type[ComponentSuite]:
    """The suite that `kind` declares. Raises TypeError where it names something else."""
    if kind.suite is None:
        return ComponentSuite
    module, _, attribute = kind.suite.partition(":")
    suite = getattr(importlib.import_module(module), attribute)
    if not (isinstance(suite, type) and issubclass(suite, ComponentSuite)):
        raise TypeError(f"kind '{kind.name}': {kind.suite} is not a zoo.testing.ComponentSuite")
    return suite


def _class_name(component: RegisteredComponent) -> str:
    words = re.split(r"[^a-z0-9]+", f"{component.kind}-{component.id}")
    return "Test" + "".join(word.capitalize() for word in words)
