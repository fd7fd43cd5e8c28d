"""`zoo.lock.yaml`: a resolved spec with everything that decides the model, and what has drifted since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from zoo import __version__
from zoo.atomic import write_atomic
from zoo.registry import Registry
from zoo.spec.load import chosen_components, distributions_of, resolve_node, spec_hash
from zoo.spec.node import Node
from zoo.spec.options import Options
from zoo.spec.reader import read_file
from zoo.spec.sections import Spec

LOCK_NAME = "zoo.lock.yaml"
LOCK_VERSION = 1
FRAMEWORKS = ("torch", "transformers", "tokenizers")
"""Their versions are on record beside the plugins'."""


class LockedContent(Options):
    """Hashes of what the spec was built from and into; each ``sha256:<hex>``."""

    data: str | None = Field(default=None, description="Revision of the task's data")
    tokenizer: str | None = Field(default=None, description="Hash of the trained tokenizer")
    weights: str | None = Field(default=None, description="Hash of the initial weights")
    pretrained: str | None = Field(
        default=None, description="Hash of the pretrained model (configuration and weights) that they were read from"
    )


class LockFile(Options):
    """The lock file, besides its spec."""

    zoo_lock: int = Field(ge=LOCK_VERSION, le=LOCK_VERSION, description="Version of the lock format")
    spec: dict[str, Any] = Field(description="The resolved spec, every default written out")
    spec_hash: str = Field(description="Hash of the resolved spec without its name and description")
    components: list[str] = Field(description="kind/<distribution>/<name> of every component used")
    distributions: dict[str, str] = Field(description="Version of the core, the plugins and the frameworks")
    content: LockedContent = Field(default_factory=LockedContent, description="Content hashes")


@dataclass(frozen=True)
class Lock:
    """A lock read back: the spec as it resolves today, and what the file says it was."""

    spec: Spec
    file: LockFile
    path: Path


@dataclass(frozen=True)
class Drift:
    """One difference between a lock and today."""

    what: str
    locked: str
    now: str

    def __str__(self) -> str:
        return f"{self.what}: locked {self.locked}, now {self.now}"


@dataclass(frozen=True)
class DriftReport:
    """Everything that differs; empty where nothing does."""

    drifts: tuple[Drift, ...] = field(default_factory=tuple)

    def __bool__(self) -> bool:
        return bool(self.drifts)

    def lines(self) -> list[str]:
        return [f"drift: {drift}" for drift in self.drifts]


def distributions_now(spec: Spec) -> dict[str, str]:
    """Versions of the core, the frameworks and the plugins that `spec` uses."""
    versions = {"zoo-registry": __version__, **distributions_of(spec)}
    for name in FRAMEWORKS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(sorted(versions.items()))


def lock_text(spec: Spec, content: Mapping[str, str | None] | None = None) -> str:
    """The lock file of `spec` as YAML. The same spec, versions and content give the same bytes."""
    document = {
        "zoo_lock": LOCK_VERSION,
        "spec_hash": spec_hash(spec),
        "content": {key: value for key, value in (content or {}).items() if value is not None},
        "distributions": distributions_now(spec),
        "components": component_ids(spec),
        "spec": spec.plain(),
    }
    header = "# Written by zoo: the resolved spec and what it was built with. 'zoo build' takes this file too.\n"
    return header + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def component_ids(spec: Spec) -> list[str]:
    """``kind/<distribution>/<name>`` of every component of `spec`, sorted."""
    return sorted({f"{chosen.kind}/{chosen.id}" for chosen in chosen_components(spec)})


def write_lock(path: Path, spec: Spec, content: Mapping[str, str | None] | None = None) -> None:
    """Write the lock file atomically."""
    write_atomic(path, lock_text(spec, content))


def is_lock(node: Node) -> bool:
    """Whether a tree read from YAML is a lock file's."""
    return node.entries is not None and "zoo_lock" in node.entries


def read_lock(path: Path, registry: Registry | None = None) -> Lock:
    """Read a lock file. Raises InputError where it is damaged or names what is not installed."""
    node = read_file(path)
    file = resolve_node(node, LockFile, registry)
    assert node.entries is not None
    return Lock(resolve_node(node.entries["spec"].node, Spec, registry), file, path)


def drift(lock: Lock, content: Mapping[str, str | None] | None = None) -> DriftReport:
    """What differs between the lock and today: resolved values, components, versions, and `content` hashes."""
    found: list[Drift] = []
    _compare(found, "spec", lock.file.spec, lock.spec.plain())
    if not found and lock.file.spec_hash != spec_hash(lock.spec):
        found.append(Drift("spec_hash", lock.file.spec_hash, spec_hash(lock.spec)))
    _compare(found, "distributions", lock.file.distributions, distributions_now(lock.spec))
    locked = lock.file.content.model_dump(exclude_none=True)
    today = {key: value for key, value in (content or {}).items() if key in locked and value is not None}
    _compare(found, "content", {key: locked[key] for key in today}, today)
    return DriftReport(tuple(found))


def _compare(found: list[Drift], path: str, locked: Any, now: Any) -> None:
    if isinstance(locked, dict) and isinstance(now, dict):
        for key in sorted(set(locked) | set(now)):
            _compare(found, f"{path}.{key}", locked.get(key), now.get(key))
    elif locked != now:
        found.append(Drift(path, _shown(locked), _shown(now)))


def _shown(value: Any) -> str:
    return "absent" if value is None else str(value)[:120]
