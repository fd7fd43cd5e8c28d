"""Where prepared data lives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataHome:
    """The folder of downloads and prepared data: ``$ZOO_HOME``, else ``$XDG_CACHE_HOME/zoo``, else ``~/.cache/zoo``."""

    root: Path

    @classmethod
    def default(cls) -> DataHome:
        chosen = os.environ.get("ZOO_HOME")
        if chosen:
            return cls(Path(chosen))
        return cls(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoo")

    @property
    def downloads(self) -> Path:
        """Raw files as fetched, resumable."""
        return self.root / "downloads"

    @property
    def corpora(self) -> Path:
        """Prepared corpora, one folder each, whole or absent."""
        return self.root / "corpora"

    @property
    def tokenizers(self) -> Path:
        """Trained tokenizers, one folder each, named by what they were trained on and how."""
        return self.root / "tokenizers"

    @property
    def encoded(self) -> Path:
        """Token ids of prepared tasks, one folder each, whole or absent: named by task, split and tokenizers."""
        return self.root / "encoded"

    @property
    def images(self) -> Path:
        """Prepared sets of images, one folder each, whole or absent: named by their content."""
        return self.root / "images"

    @property
    def fonts(self) -> Path:
        """Fonts unpacked from packages, a folder a package and version, whole or absent."""
        return self.root / "fonts"

    @property
    def documents(self) -> Path:
        """PDFs unpacked from packages, a folder a package and version, whole or absent."""
        return self.root / "documents"
