"""Look-ups over what discovery found."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from zoo.errors import InputError, did_you_mean
from zoo.registry.component import Component, RegisteredComponent
from zoo.registry.discovery import Discovery, LoadPolicy, PluginReport, discover
from zoo.registry.kind import Kind


class Registry:
    """The components of the installed plugins, by kind and name."""

    def __init__(self, found: Discovery) -> None:
        self._found = found
        self._by_kind: dict[str, dict[str, list[RegisteredComponent]]] = {kind: {} for kind in found.kinds}
        for component in found.components:
            self._by_kind[component.kind].setdefault(component.name, []).append(component)

    @classmethod
    def load(cls, policy: LoadPolicy | None = None) -> Registry:
        """Discover plugins; a broken one costs a warning that names it."""
        registry = cls(discover(policy))
        for report in registry.plugins:
            if report.status == "broken":
                warnings.warn(
                    f"plugin '{report.distribution}' ({report.module}) was left out: {report.reason}; "
                    "run 'zoo plugins doctor'",
                    stacklevel=2,
                )
        return registry

    def plus(self, distribution: str, version: str, module: str, components: Iterable[Component]) -> Registry:
        """This registry and `components`, as if an installed plugin called `distribution` brought them (tests do).

        One that holds that plugin already is given back as it is.
        """
        if any(report.distribution == distribution for report in self._found.reports):
            return self
        added = [
            RegisteredComponent(component, distribution, version, self.kind(component.kind).options_base)
            for component in components
        ]
        report = PluginReport(
            distribution, version, module, module, "ok", components=tuple(f"{item.kind}/{item.name}" for item in added)
        )
        return Registry(
            replace(
                self._found,
                components=[*self._found.components, *added],
                reports=[*self._found.reports, report],
            )
        )

    @property
    def hook(self) -> Any:
        """pluggy's caller for the behavioural hooks."""
        return self._found.manager.hook

    @property
    def kinds(self) -> dict[str, Kind]:
        return dict(self._found.kinds)

    @property
    def plugins(self) -> list[PluginReport]:
        return list(self._found.reports)

    def kind(self, name: str) -> Kind:
        """The kind of that name. Raises InputError with the nearest name."""
        if name not in self._found.kinds:
            raise InputError(f"unknown kind '{name}': {did_you_mean(name, self._found.kinds)}")
        return self._found.kinds[name]

    def components(self, kind: str | None = None) -> list[RegisteredComponent]:
        """Components of one kind, or all, sorted by kind, name and distribution."""
        if kind is not None:
            self.kind(kind)
        chosen = [item for item in self._found.components if kind is None or item.kind == kind]
        return sorted(chosen, key=lambda item: (item.kind, item.name, item.distribution))

    def names(self, kind: str) -> list[str]:
        """Every name that `get` accepts for `kind`: bare while unique, else qualified."""
        self.kind(kind)
        return sorted(
            name if len(found) == 1 else item.id for name, found in self._by_kind[kind].items() for item in found
        )

    def get(self, kind: str, name: str) -> RegisteredComponent:
        """The component called `name` (``rotary``) or ``<distribution>/<name>``.

        Raises InputError if there is none (with the nearest name), or several (naming every source).
        """
        self.kind(kind)
        bare = name.rpartition("/")[2]
        found = self._by_kind[kind].get(bare, [])
        if "/" in name:
            found = [item for item in found if item.id == name]
        if len(found) == 1:
            return found[0]
        if found:
            sources = ", ".join(f"'{item.id}'" for item in found)
            raise InputError(f"{kind} '{name}' comes from several plugins: write one of {sources}")
        wanted = name.rpartition("/")[0]
        for report in self.plugins:
            if wanted and report.distribution == wanted and report.status != "ok":
                raise InputError(f"unknown {kind} '{name}': plugin '{wanted}' is {report.status} ({report.reason})")
        if wanted and all(report.distribution != wanted for report in self.plugins):
            raise InputError(f"unknown {kind} '{name}': install its plugin first: pip install {wanted}")
        left_out = [report.distribution for report in self.plugins if report.status != "ok"]
        note = f"; left out: {', '.join(left_out)}" if left_out else ""
        raise InputError(f"unknown {kind} '{name}': {did_you_mean(name, self.names(kind))}{note}")


_current: ContextVar[Registry | None] = ContextVar("zoo_registry", default=None)
_process_wide: Registry | None = None


def current_registry() -> Registry:
    """The registry in force: the one set by `use_registry`, else one discovery per process."""
    global _process_wide
    chosen = _current.get()
    if chosen is not None:
        return chosen
    if _process_wide is None:
        _process_wide = Registry.load()
    return _process_wide


@contextmanager
def use_registry(registry: Registry) -> Iterator[Registry]:
    """Use `registry` inside the block (tests, ``--no-plugin``)."""
    token = _current.set(registry)
    try:
        yield registry
    finally:
        _current.reset(token)
