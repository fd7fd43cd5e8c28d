"""A small Debian archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.testing.archive import Archive


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An empty archive whose apt-get is the first on PATH."""
    return Archive.at(tmp_path, monkeypatch)
