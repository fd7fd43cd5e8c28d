"""Plugins installed for one test: real distribution metadata in a folder on sys.path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Install = Callable[..., Path]

HEADER = "from zoo.registry import Component, Kind, hookimpl\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install("zoo-acme", code)`` makes a distribution whose plugin module holds `code`."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def make(distribution: str, code: str, version: str = "1.0", entry_point: str | None = None) -> Path:
        module = distribution.replace("-", "_") + "_plugin"
        (site / f"{module}.py").write_text(HEADER + code)
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[zoo]\n{entry_point or distribution} = {module}\n")
        return site / f"{module}.py"

    yield make
    for name in set(sys.modules) - before:
        if name.endswith("_plugin"):
            del sys.modules[name]
