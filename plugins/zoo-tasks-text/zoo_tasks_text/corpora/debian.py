"""Corpora that are built from Debian's packages: what all recipes share."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from zoo.errors import ZooError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.apt import Apt, AptError, versions
from zoo.tasks.contracts import Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.options import DebianOptions
from zoo_tasks_text.corpora.splits import by_document, separated


class DebianCorpus(Corpus):
    """English and one other language, read from package files that apt fetched. Nothing is installed."""

    options: DebianOptions
    family: ClassVar[str]
    """The corpus is named ``<family>-<language>-en``."""
    language: ClassVar[str]
    """``zh`` or ``ja``."""
    version: ClassVar[int]
    """Raise it with any change to the recipe that gives other pairs."""
    licence: ClassVar[str]
    """Of the whole; where pairs differ, each says its own and this joins them by ``and``."""
    share: ClassVar[float] = 0.03
    """Of the documents, for dev and for test each."""

    @property
    def name(self) -> str:
        return f"{self.family}-{self.language}-en"

    @property
    @abstractmethod
    def packages(self) -> Sequence[str]:
        """Names of the Debian packages that are read."""

    @abstractmethod
    def read(self, packages: Mapping[str, Path], progress: Progress, dropped: Counter[str]) -> list[Pair]:
        """All pairs in a stable order, from the package files by name; `dropped` counts the others by reason."""

    def dealt(self, pairs: list[Pair]) -> dict[Split, list[Pair]]:
        """The pairs of each split, whole documents each."""
        return by_document(pairs, dev=self.share, test=self.share, salt=self.family)

    @property
    def _recipe(self) -> prepared.Recipe:
        return prepared.Recipe(self.name, {"version": self.version, "share": self.share})

    def find(self, home: DataHome) -> PreparedCorpus | None:
        return prepared.find(home, self._recipe, self.options.revision)

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Build the corpus, or take what an earlier build left, whatever versions the packages have by now."""
        return self._prepare(home, progress, refresh=False)

    def refresh(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Build the corpus from the packages of today. Other versions give another revision."""
        return self._prepare(home, progress, refresh=True)

    def _prepare(self, home: DataHome, progress: Progress, *, refresh: bool) -> PreparedCorpus:
        return prepared.prepare(
            home,
            self._recipe,
            lambda: self._build(home, progress, refresh),
            revision=self.options.revision,
            refresh=refresh,
        )

    def _build(self, home: DataHome, progress: Progress, refresh: bool) -> prepared.StoredCorpus:
        try:
            packages = Apt(home.downloads / "debian", progress).fetch(self.packages, refresh=refresh)
        except AptError as error:
            if refresh and self.find(home) is not None:
                raise ZooError(
                    f"corpus {self.name} cannot be refreshed: {error}. What is prepared stays as it is and usable"
                ) from error
            some = ", ".join(self.packages[:3]) + (" ..." if len(self.packages) > 3 else "")
            raise ZooError(
                f"corpus {self.name} cannot be fetched: {error}. It is built from Debian's packages ({some}); without "
                "apt and its archive, use corpus 'parallel-files' with your own text, or corpus 'generated', which "
                "needs no download"
            ) from error
        dropped: Counter[str] = Counter()
        pairs = self.read({name: path for name, (_, path) in packages.items()}, progress, dropped)
        parts = self.dealt(pairs)
        result = separated(parts["train"], parts["dev"], parts["test"])
        facts = {
            "source": "apt",
            "packages": versions(packages),
            "package_sha256": {name: package.sha256 for name, (package, _) in sorted(packages.items())},
            "documents": len({pair.document for split in result.splits.values() for pair in split} - {None}),
            "dropped": {**dict(sorted(dropped.items())), **result.dropped},
        }
        return prepared.store(
            home,
            self._recipe,
            result.splits,
            languages=(self.language, "en"),
            licence=self.licence,
            facts=facts,
        )
