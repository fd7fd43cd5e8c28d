"""The LibreOffice help as parallel text, from Debian's packages of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from zoo.errors import ZooError
from zoo.tasks import Pair
from zoo.tasks.apt import read_members
from zoo.tasks.contracts import Progress, silent
from zoo_tasks_text.corpora.cleaning import aligned_sentences, clean, reason_to_drop
from zoo_tasks_text.corpora.debian import DebianCorpus
from zoo_tasks_text.corpora.help_pages import Paragraph, paragraphs

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


class OfficeCorpus(DebianCorpus):
    """English and one other language of the help, aligned by paragraph id."""

    family = "office"
    version = 3
    licence = "MPL-2.0"
    edition: ClassVar[Edition]

    @property
    def packages(self) -> Sequence[str]:
        return ENGLISH.package, self.edition.package

    def read(self, packages: Mapping[str, Path], progress: Progress, dropped: Counter[str]) -> list[Pair]:
        pages = {
            edition.language: read_pages(packages[edition.package], edition, progress)
            for edition in (ENGLISH, self.edition)
        }
        return align(pages["en"], pages[self.language], self.language, dropped)


class OfficeChinese(OfficeCorpus):
    """Simplified Chinese and English."""

    language = "zh"
    edition = CHINESE


class OfficeJapanese(OfficeCorpus):
    """Japanese and English."""

    language = "ja"
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


def align(english: Pages, other: Pages, language: str, dropped: Counter[str]) -> list[Pair]:
    """Pairs in the order of pages and paragraphs; `dropped` counts what is left out by reason.

    What is left out of a page counts in the orders of its other pairs, so that no two are taken for neighbours that
    are none.
    """
    pairs: list[Pair] = []
    owned = {(item.id, item.text) for page in english.values() for item in page if not item.embedded}
    for name in sorted(english):
        translations = {item.id: item.text for item in other.get(name, ())}
        order = 0
        for item in english[name]:
            if item.embedded and (item.id, item.text) in owned:
                # The page that owns the paragraph has it; here it would blur what a document is.
                order += 1
                continue
            if item.id not in translations:
                dropped["no counterpart"] += 1
                order += 1
                continue
            begun = dropped.total()
            for left, right in _sentence_pairs(item.text, translations[item.id], language, dropped):
                document, place = name.removesuffix(".html"), order + dropped.total() - begun
                pairs.append(Pair({"en": left, language: right}, document, place, domain=name.split("/")[0]))
                order += 1
            order += dropped.total() - begun
    return pairs


def _sentence_pairs(english: str, other: str, language: str, dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    left, right = clean(english), clean(other)
    for pair in aligned_sentences(left, right, language) if left and right else [(left, right)]:
        reason = reason_to_drop(*pair, language)
        if reason is None:
            yield pair
        else:
            dropped[reason] += 1
