"""Our own loader over pluggy's: blocking happens before import, and one broken plugin costs one warning."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from types import ModuleType
from typing import Any, Literal

import pluggy

from zoo.errors import InputError, did_you_mean
from zoo.registry import core_kinds
from zoo.registry.component import API, Component, RegisteredComponent
from zoo.registry.hooks import PROJECT, Specifications
from zoo.registry.kind import Kind

ENTRY_POINT_GROUP = "zoo"
CORE = "zoo-registry"

Status = Literal["ok", "blocked", "broken"]


def _normalized(distribution: str) -> str:
    """PEP 503 normal form, so that 'Zoo_Positional' and 'zoo-positional' are one name."""
    return distribution.lower().replace("_", "-").replace(".", "-")


def _names(text: str | None) -> frozenset[str]:
    return frozenset(_normalized(name.strip()) for name in (text or "").split(",") if name.strip())


@dataclass(frozen=True)
class LoadPolicy:
    """Which plugins may be imported. A plugin is named by its distribution or by its entry point.

    `only` (``ZOO_PLUGINS=a,b``) admits nothing else; `blocked` (``ZOO_BLOCK=a,b``, ``--no-plugin a``) wins over it.
    """

    blocked: frozenset[str] = frozenset()
    only: frozenset[str] | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, *, block: Iterable[str] = ()) -> LoadPolicy:
        source = os.environ if environ is None else environ
        blocked = _names(source.get("ZOO_BLOCK")) | frozenset(_normalized(name) for name in block)
        only = _names(source["ZOO_PLUGINS"]) if source.get("ZOO_PLUGINS", "").strip() else None
        return cls(blocked=blocked, only=only)

    def reason_to_block(self, distribution: str, entry_point: str) -> str | None:
        names = {_normalized(distribution), _normalized(entry_point)}
        if names & self.blocked:
            return "blocked by ZOO_BLOCK or --no-plugin"
        if self.only is not None and not names & self.only:
            return "not listed in ZOO_PLUGINS"
        return None


@dataclass
class PluginReport:
    """What became of one installed plugin."""

    distribution: str
    version: str
    entry_point: str
    module: str
    status: Status
    reason: str = ""
    kinds: tuple[str, ...] = ()
    components: tuple[str, ...] = ()


@dataclass
class Discovery:
    """Everything found on one look at the installed distributions."""

    manager: pluggy.PluginManager
    kinds: dict[str, Kind] = field(default_factory=dict)
    components: list[RegisteredComponent] = field(default_factory=list)
    reports: list[PluginReport] = field(default_factory=list)


def installed_entry_points() -> list[metadata.EntryPoint]:
    """The entry points of group `zoo`, in a stable order."""
    points = metadata.entry_points(group=ENTRY_POINT_GROUP)
    return sorted(points, key=lambda point: (_distribution_name(point), point.name))


def _distribution_name(point: metadata.EntryPoint) -> str:
    return _normalized(point.dist.name) if point.dist is not None else "unknown"


def refuse_unknown(names: Iterable[str], *, where: str) -> None:
    """Raise InputError for a name that is no installed plugin's: mistyped, it would block nothing without a word."""
    known = {
        name for point in installed_entry_points() for name in (_distribution_name(point), _normalized(point.name))
    }
    for name in sorted(_names(",".join(names)) - known):
        raise InputError(f"no plugin '{name}' is installed: {did_you_mean(name, known)}", where=where)


def discover(policy: LoadPolicy | None = None, entry_points: Iterable[metadata.EntryPoint] | None = None) -> Discovery:
    """Import the admitted plugins and collect what they yield. Never raises for a plugin's fault."""
    policy = policy or LoadPolicy.from_environment()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Specifications)
    found = Discovery(manager)
    for kind in core_kinds.zoo_kinds():
        found.kinds[kind.name] = kind
    points = installed_entry_points() if entry_points is None else list(entry_points)
    loaded: list[tuple[PluginReport, ModuleType]] = []
    for point in points:
        report = PluginReport(
            distribution=_distribution_name(point),
            version=point.dist.version if point.dist is not None else "0",
            entry_point=point.name,
            module=point.value,
            status="ok",
        )
        found.reports.append(report)
        reason = policy.reason_to_block(report.distribution, point.name)
        if reason:
            report.status, report.reason = "blocked", reason
            continue
        try:
            module = point.load()
            manager.register(module, name=f"{report.distribution}:{point.name}")
            manager.check_pending()
        except (Exception, SystemExit) as error:
            _mark_broken(manager, report, error)
            continue
        loaded.append((report, module))
    # Kinds first: a component may be of a kind that another plugin brings.
    for report, module in loaded:
        _collect_kinds(found, report, module)
    for report, module in loaded:
        if report.status == "ok":
            _collect_components(found, report, module)
    return found


def _mark_broken(manager: pluggy.PluginManager, report: PluginReport, error: BaseException) -> None:
    report.status = "broken"
    report.reason = f"{type(error).__name__}: {error}".strip().replace("\n", " ")
    name = f"{report.distribution}:{report.entry_point}"
    if manager.has_plugin(name):
        manager.unregister(name=name)


def _yielded(manager: pluggy.PluginManager, module: Any, hook: str, expected: type) -> list[Any]:
    """What `module` yields from `hook`, called alone so that a fault is its own."""
    items: list[Any] = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.plugin is module:
            items.extend(implementation.function() or ())
    for item in items:
        if not isinstance(item, expected):
            raise TypeError(f"{hook} yielded {type(item).__name__}, expected {expected.__name__}")
    return items


def _collect_kinds(found: Discovery, report: PluginReport, module: Any) -> None:
    try:
        kinds: list[Kind] = _yielded(found.manager, module, "zoo_kinds", Kind)
        for kind in kinds:
            if kind.name in found.kinds:
                raise ValueError(f"kind '{kind.name}' is already declared")
    except (Exception, SystemExit) as error:
        _mark_broken(found.manager, report, error)
        return
    for kind in kinds:
        found.kinds[kind.name] = kind
    report.kinds = tuple(kind.name for kind in kinds)


def _collect_components(found: Discovery, report: PluginReport, module: Any) -> None:
    try:
        components: list[Component] = _yielded(found.manager, module, "zoo_components", Component)
        seen: set[tuple[str, str]] = {
            (known.kind, known.name) for known in found.components if known.distribution == report.distribution
        }
        for component in components:
            key = (component.kind, component.name)
            if component.api > API:
                raise ValueError(
                    f"component {component.kind}/{component.name} needs contract version {component.api}, "
                    f"this zoo speaks {API}: upgrade {CORE}"
                )
            if component.kind not in found.kinds:
                raise ValueError(
                    f"component {component.name!r} is of the unknown kind {component.kind!r} "
                    f"(known: {', '.join(sorted(found.kinds))})"
                )
            if key in seen:
                raise ValueError(f"component {component.kind}/{component.name} is declared twice")
            seen.add(key)
    except (Exception, SystemExit) as error:
        _mark_broken(found.manager, report, error)
        return
    for component in components:
        base = found.kinds[component.kind].options_base
        found.components.append(RegisteredComponent(component, report.distribution, report.version, base))
    report.components = tuple(f"{component.kind}/{component.name}" for component in components)
