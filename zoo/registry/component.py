"""Component records: what a plugin declares, and what the registry makes of it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from zoo.errors import ZooError
from zoo.registry.kind import NAME, OPTIONS, TARGET

API = 1
"""The version of the component contract that this core speaks."""


@dataclass(frozen=True)
class Component:
    """One component, as a plugin yields it from `zoo_components`.

    `target` and `options` are ``module:attribute`` references; neither is imported until the component is used. Without
    `options` a component has those of its kind's `options_base`, if any.
    The distribution is not declared here: it is read from the metadata of the entry point that brought the plugin.

    `traits` are facts of the component that the host or a reader can use without importing it; their keys are
    the kind's (a position scheme declares ``{"where": "attention"}``).
    """

    kind: str
    name: str
    target: str
    summary: str
    options: str | None = None
    references: tuple[str, ...] = ()
    traits: Mapping[str, Any] = field(default_factory=dict)
    api: int = API

    def __post_init__(self) -> None:
        who = f"component {self.kind}/{self.name}"
        if not NAME.fullmatch(self.kind) or not NAME.fullmatch(self.name):
            raise ValueError(f"{who}: kind and name take lower-case letters, digits, '-', '_' and '.'")
        for label, target in (("target", self.target), ("options", self.options)):
            if target is not None and not TARGET.fullmatch(target):
                raise ValueError(f"{who}: {label} {target!r}: expected 'module:attribute'")
        if not self.summary.strip():
            raise ValueError(f"{who}: a summary of one line is required")
        object.__setattr__(self, "references", tuple(self.references))
        object.__setattr__(self, "traits", MappingProxyType(dict(self.traits)))


@dataclass(frozen=True)
class RegisteredComponent:
    """A component with the identity that its installed distribution gives it."""

    component: Component
    distribution: str
    version: str
    options_base: str = OPTIONS
    """What its kind asks of its options: ``module:attribute`` of their base."""

    @property
    def kind(self) -> str:
        return self.component.kind

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def id(self) -> str:
        """``<distribution>/<name>``: unique within a kind."""
        return f"{self.distribution}/{self.component.name}"

    @property
    def summary(self) -> str:
        return self.component.summary

    @property
    def traits(self) -> Mapping[str, Any]:
        return self.component.traits

    def load(self) -> Any:
        """Import the implementation. Raises ZooError naming the component and its distribution if that fails."""
        return self._import(self.component.target, "implementation")

    def load_options(self) -> Any:
        """Import the options model (a torch-free pydantic model).

        A component that declares none has those that every component of its kind has, if any. Raises ZooError naming
        the component and its distribution if it cannot be imported, or lacks those.
        """
        base = self._import(self.options_base, "base of the options")
        if self.component.options is None:
            return base if self.options_base != OPTIONS else self._import("zoo.spec.options:NoOptions", "options")
        model = self._import(self.component.options, "options")
        if not (isinstance(model, type) and issubclass(model, base)):
            raise ZooError(
                f"the options of {self.kind} '{self.id}' ({self.component.options}) must be a subclass of "
                f"{self.options_base}; run 'zoo plugins doctor'"
            )
        return model

    def _import(self, target: str, what: str) -> Any:
        module_name, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except Exception as error:
            raise ZooError(
                f"the {what} of {self.kind} '{self.id}' ({target}) cannot be imported: "
                f"{type(error).__name__}: {error}; run 'zoo plugins doctor'"
            ) from error
