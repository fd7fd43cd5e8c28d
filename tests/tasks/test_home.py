"""Where prepared data lives."""

from __future__ import annotations

from pathlib import Path

from zoo.tasks import DataHome


def test_zoo_home_wins_over_the_cache_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert DataHome.default().root == tmp_path / "own"


def test_without_zoo_home_the_cache_folder_is_taken(monkeypatch, tmp_path):
    monkeypatch.delenv("ZOO_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert DataHome.default().root == tmp_path / "cache" / "zoo"
    # An empty variable is an unset one, says the XDG specification.
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert DataHome.default().root == tmp_path / "me" / ".cache" / "zoo"


def test_downloads_corpora_and_tokenizers_lie_apart():
    home = DataHome(Path("/data"))
    assert {home.downloads, home.corpora, home.tokenizers} == {
        Path(f"/data/{n}") for n in ("downloads", "corpora", "tokenizers")
    }
