"""Debian packages whose files are read: fetched and unpacked into the data folder, never installed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from zoo.atomic import atomic_directory, locked, write_atomic
from zoo.tasks import DataHome
from zoo.tasks.apt import Apt, read_members
from zoo.tasks.contracts import Progress

Unpack = Callable[[Path, Path, str], None]
"""``unpack(deb, folder, name)`` writes what is wanted of a package."""


def unpacked(
    names: Sequence[str], root: Path, home: DataHome, progress: Progress, unpack: Unpack
) -> dict[str, tuple[Path, str]]:
    """The folder below `root` and the version of each package: what an earlier call unpacked, whatever is newest now.

    The package's statement of copyright lies there as ``copyright``. Raises AptError where a package cannot be had.
    """
    found = {name: place for name in names if (place := _unpacked(root, name)) is not None}
    missing = [name for name in names if name not in found]
    if missing:
        packages = Apt(home.downloads / "debian", progress).fetch(missing)
        with locked(root / ".lock"):
            for name, (package, path) in packages.items():
                folder = _folder(root, name, package.version)
                with atomic_directory(folder) as directory:
                    unpack(path, directory, name)
                    for _, content in read_members(path, f"./usr/share/doc/{name}", "copyright"):
                        (directory / "copyright").write_bytes(content)
                write_atomic(root / f"{name}.json", json.dumps({"version": package.version}) + "\n")
                found[name] = (folder, package.version)
    return {name: found[name] for name in names}


def _unpacked(root: Path, name: str) -> tuple[Path, str] | None:
    try:
        version = json.loads((root / f"{name}.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    folder = _folder(root, name, str(version))
    return (folder, str(version)) if folder.is_dir() else None


def _folder(root: Path, name: str, version: str) -> Path:
    return root / f"{name}_{version.replace(':', '%3a')}"
