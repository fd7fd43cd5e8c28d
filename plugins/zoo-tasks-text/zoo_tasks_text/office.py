"""The LibreOffice help as parallel text, from Debian's packages of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import ZooError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus
from zoo.tasks.contracts import Progress, silent
from zoo_tasks_text import prepared
from zoo_tasks_text.apt import Apt, AptError, read_members, versions
from zoo_tasks_text.cleaning import aligned_sentences, clean, reason_to_drop
from zoo_tasks_text.help_pages import Paragraph, paragraphs
from zoo_tasks_text.options import OfficeOptions
from zoo_tasks_text.splits import by_document, separated

VERSION = 1
"""Raise it with any change to the recipe that gives other pairs."""
LICENCE = "MPL-2.0"
SHARE = 0.03
"""Of the documents, for dev and for test each."""
_ROOT = "./usr/share/libreoffice/help"

Pages = Mapping[str, list[Paragraph]]


@dataclass(frozen=True)
class Edition:
    """One language of the help: its code here, Debian's package, its folder in the package."""

    language: str
    package: str
    folder: str


ENGLISH = Edition("en", "libreoffice-help-en-us", "en-US")
CHINESE = Edition("zh", "libreoffice-help-zh-cn", "zh-CN")
JAPANESE = Edition("ja", "libreoffice-help-ja", "ja")


class OfficeCorpus(Corpus):
    """English and one other language of the help, aligned by paragraph id."""

    options: OfficeOptions
    edition: Edition

    @property
    def _recipe(self) -> prepared.Recipe:
        return prepared.Recipe(f"office-{self.edition.language}-en", {"version": VERSION, "share": SHARE})

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
            lambda: self._build(home, progress),
            revision=self.options.revision,
            refresh=refresh,
        )

    def _build(self, home: DataHome, progress: Progress) -> prepared.StoredCorpus:
        editions = (ENGLISH, self.edition)
        try:
            packages = Apt(home.downloads / "debian", progress).fetch([edition.package for edition in editions])
        except AptError as error:
            raise ZooError(
                f"corpus {self._recipe.name} cannot be fetched: {error}. It is built from Debian's packages "
                f"{' and '.join(edition.package for edition in editions)}; without apt and its archive, use corpus "
                "'parallel-files' with your own text, or corpus 'generated', which needs no download"
            ) from error
        pages = {edition.language: read_pages(packages[edition.package][1], edition, progress) for edition in editions}
        pairs, dropped = align(pages["en"], pages[self.edition.language], self.edition.language)
        parts = by_document(pairs, dev=SHARE, test=SHARE, salt="office")
        result = separated(parts["train"], parts["dev"], parts["test"])
        facts = {
            "source": "apt",
            "packages": versions(packages),
            "package_sha256": {name: package.sha256 for name, (package, _) in sorted(packages.items())},
            "documents": len({pair.document for split in result.splits.values() for pair in split}),
            "dropped": {**dropped, **result.dropped},
        }
        return prepared.store(
            home,
            self._recipe,
            result.splits,
            languages=(self.edition.language, "en"),
            licence=LICENCE,
            facts=facts,
        )


class OfficeChinese(OfficeCorpus):
    """Simplified Chinese and English."""

    edition = CHINESE


class OfficeJapanese(OfficeCorpus):
    """Japanese and English."""

    edition = JAPANESE


def read_pages(path: Path, edition: Edition, progress: Progress = silent) -> Pages:
    """Page path -> paragraphs, for the package file of one edition."""
    found: dict[str, list[Paragraph]] = {}
    for name, content in read_members(path, f"{_ROOT}/{edition.folder}/text", ".html"):
        found[name] = paragraphs(content.decode("utf-8", errors="replace"))
        if len(found) % 100 == 0:
            progress(f"read {edition.package}", len(found), 0)
    if not found:
        raise ZooError(
            f"{path} has no help pages below {_ROOT}/{edition.folder}/text: the package's layout has changed"
        )
    return found


def align(english: Pages, other: Pages, language: str) -> tuple[list[Pair], dict[str, int]]:
    """Pairs in the order of pages and paragraphs, and how many paragraphs were dropped for which reason."""
    dropped: Counter[str] = Counter()
    pairs: list[Pair] = []
    owned = {(item.id, item.text) for page in english.values() for item in page if not item.embedded}
    for name in sorted(english):
        translations = {item.id: item.text for item in other.get(name, ())}
        order = 0
        for item in english[name]:
            if item.embedded and (item.id, item.text) in owned:
                # The page that owns the paragraph has it; here it would blur what a document is.
                continue
            if item.id not in translations:
                dropped["no counterpart"] += 1
                continue
            for left, right in _sentence_pairs(item.text, translations[item.id], language, dropped):
                document = name.removesuffix(".html")
                pairs.append(Pair({"en": left, language: right}, document, order, domain=name.split("/")[0]))
                order += 1
    return pairs, dict(sorted(dropped.items()))


def _sentence_pairs(english: str, other: str, language: str, dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    left, right = clean(english), clean(other)
    for pair in aligned_sentences(left, right, language) if left and right else [(left, right)]:
        reason = reason_to_drop(*pair, language)
        if reason is None:
            yield pair
        else:
            dropped[reason] += 1
