"""Handbooks and manuals as parallel text, from Debian's packages of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import ZooError
from zoo.tasks import Pair
from zoo.tasks.apt import read_members
from zoo.tasks.contracts import Progress
from zoo_tasks_text.corpora.blocks import Block, html_blocks, mallard_blocks
from zoo_tasks_text.corpora.cleaning import aligned_sentences, clean, reason_to_drop
from zoo_tasks_text.corpora.debian import DebianCorpus
from zoo_tasks_text.corpora.skeletons import aligned

_DOC = "./usr/share/doc"
_UNREAD = re.compile(
    r"(?:^|/)(?:genindex|search|py-modindex|index_toc|lilypond(?:-command)?-index|toc|developers-reference)$|"
    r"-big-page$|-bullseye-manual$"
)
"""Pages that consist of links, or of all other pages of their manual; the edition for an older Debian."""

_LEAST = 20
"""Blocks of a document, before a section may begin another."""

Pages = dict[str, list[Block]]


@dataclass(frozen=True)
class Edition:
    """One language of a manual: the package, the folder in it, and how the names of its pages end."""

    package: str
    folder: str
    suffix: str = ".html"


@dataclass(frozen=True)
class Manual:
    """A manual whose pages have the same names in every language. `licence` as the package's copyright file has it."""

    name: str
    licence: str
    english: Edition
    chinese: Edition | None = None
    japanese: Edition | None = None


MANUALS = (
    Manual(
        "aptitude",
        "GPL-2+",
        Edition("aptitude-doc-en", f"{_DOC}/aptitude/html/en"),
        japanese=Edition("aptitude-doc-ja", f"{_DOC}/aptitude/html/ja"),
    ),
    Manual(
        "debian-edu",
        "GPL-2+",
        Edition("debian-edu-doc-en", f"{_DOC}/debian-edu-doc-en"),
        Edition("debian-edu-doc-zh-cn", f"{_DOC}/debian-edu-doc-zh-cn"),
        Edition("debian-edu-doc-ja", f"{_DOC}/debian-edu-doc-ja"),
    ),
    Manual(
        "debian-faq",
        "LicenseRef-Debian-FAQ",
        Edition("debian-faq", f"{_DOC}/debian/FAQ", ".en.html"),
        Edition("debian-faq-zh-cn", f"{_DOC}/debian/FAQ/zh-cn", ".zh-cn.html"),
        Edition("debian-faq-ja", f"{_DOC}/debian/FAQ/ja", ".ja.html"),
    ),
    Manual(
        "debian-handbook",
        "GPL-2+ or CC-BY-SA-3.0",
        Edition("debian-handbook", f"{_DOC}/debian-handbook/html/en-US"),
        Edition("debian-handbook", f"{_DOC}/debian-handbook/html/zh-CN"),
        Edition("debian-handbook", f"{_DOC}/debian-handbook/html/ja-JP"),
    ),
    Manual(
        "debian-policy",
        "GPL-2+",
        Edition("debian-policy", f"{_DOC}/debian-policy/policy.html"),
        japanese=Edition("debian-policy-ja", f"{_DOC}/debian-policy/ja/policy.html"),
    ),
    Manual(
        "debian-reference",
        "GPL-2+",
        Edition("debian-reference-en", "./usr/share/debian-reference", ".en.html"),
        Edition("debian-reference-zh-cn", "./usr/share/debian-reference", ".zh-cn.html"),
        Edition("debian-reference-ja", "./usr/share/debian-reference", ".ja.html"),
    ),
    Manual(
        "debmake-doc",
        "MIT",
        Edition("debmake-doc", f"{_DOC}/debmake-doc/html", ".en.html"),
        Edition("debmake-doc", f"{_DOC}/debmake-doc/html", ".zh-cn.html"),
        Edition("debmake-doc", f"{_DOC}/debmake-doc/html", ".ja.html"),
    ),
    Manual(
        "developers-reference",
        "GPL-2+",
        Edition("developers-reference", "./usr/share/developers-reference"),
        japanese=Edition("developers-reference-ja", "./usr/share/developers-reference/ja"),
    ),
    Manual(
        "gnome-user-docs",
        "CC-BY-SA-3.0",
        Edition("gnome-user-docs", "./usr/share/help/C", ".page"),
        Edition("gnome-user-docs", "./usr/share/help/zh_CN", ".page"),
        Edition("gnome-user-docs", "./usr/share/help/ja", ".page"),
    ),
    Manual(
        "installation-guide",
        "GPL-2",
        Edition("installation-guide-amd64", f"{_DOC}/installation-guide-amd64/en"),
        Edition("installation-guide-amd64", f"{_DOC}/installation-guide-amd64/zh_CN"),
        Edition("installation-guide-amd64", f"{_DOC}/installation-guide-amd64/ja"),
    ),
    Manual(
        "kicad",
        # As the manuals' own pages say; the package's copyright file has GPL-2+ or CC-BY-SA-3.0 for them.
        "GPL-3+ or CC-BY-3.0",
        Edition("kicad-doc-en", f"{_DOC}/kicad/help/en"),
        Edition("kicad-doc-zh", f"{_DOC}/kicad/help/zh"),
        Edition("kicad-doc-ja", f"{_DOC}/kicad/help/ja"),
    ),
    Manual(
        "lilypond",
        "GFDL-1.3+",
        Edition("lilypond-doc-html", f"{_DOC}/lilypond/html/Documentation"),
        Edition("lilypond-doc-html-zh", f"{_DOC}/lilypond/html/Documentation", ".zh.html"),
        Edition("lilypond-doc-html-ja", f"{_DOC}/lilypond/html/Documentation", ".ja.html"),
    ),
    Manual(
        "linux",
        "GPL-2",
        Edition("linux-doc-6.1", f"{_DOC}/linux-doc-6.1/html"),
        Edition("linux-doc-6.1", f"{_DOC}/linux-doc-6.1/html/translations/zh_CN"),
    ),
    Manual(
        "live-manual",
        "GPL-3+",
        Edition("live-manual-html", f"{_DOC}/live-manual/html/live-manual", ".en.html"),
        japanese=Edition("live-manual-html", f"{_DOC}/live-manual/html/live-manual", ".ja.html"),
    ),
    Manual(
        "maint-guide",
        "GPL-2+",
        Edition("maint-guide", f"{_DOC}/maint-guide/html", ".en.html"),
        Edition("maint-guide-zh-cn", f"{_DOC}/maint-guide-zh-cn/html", ".zh-cn.html"),
        Edition("maint-guide-ja", f"{_DOC}/maint-guide-ja/html", ".ja.html"),
    ),
)


class ManualsCorpus(DebianCorpus):
    """English and one other language of `MANUALS`, aligned block by block."""

    family = "manuals"
    version = 2
    share = 0.04
    licence = " and ".join(sorted({f"({m.licence})" if " or " in m.licence else m.licence for m in MANUALS}))

    @property
    def manuals(self) -> list[tuple[Manual, Edition]]:
        """The manuals that this language has, and their editions in it."""
        found = ((manual, manual.chinese if self.language == "zh" else manual.japanese) for manual in MANUALS)
        return [(manual, edition) for manual, edition in found if edition is not None]

    @property
    def packages(self) -> Sequence[str]:
        return list(dict.fromkeys(e.package for manual, edition in self.manuals for e in (manual.english, edition)))

    def read(self, packages: Mapping[str, Path], progress: Progress, dropped: Counter[str]) -> list[Pair]:
        pairs: list[Pair] = []
        for done, (manual, edition) in enumerate(self.manuals):
            progress("manuals", done, len(self.manuals))
            other = read_pages(packages[edition.package], edition)
            english = read_pages(packages[manual.english.package], manual.english, other)
            dropped["page without an English one"] += len(other.keys() - english.keys())
            for page in sorted(english):
                pairs.extend(pairs_of(manual, page, english[page], other[page], self.language, dropped))
        return pairs


class ManualsChinese(ManualsCorpus):
    """Simplified Chinese and English."""

    language = "zh"


class ManualsJapanese(ManualsCorpus):
    """Japanese and English."""

    language = "ja"


def read_pages(path: Path, edition: Edition, known: Mapping[str, object] | None = None) -> Pages:
    """Page name -> blocks, for one edition in its package file; only the pages that are `known`, if that is given."""

    def wanted(file: str) -> bool:
        name = file.removesuffix(edition.suffix)
        return not _UNREAD.search(name) and (known is None or name in known)

    found: Pages = {}
    for file, content in read_members(path, edition.folder, edition.suffix, wanted):
        if edition.suffix == ".page":
            blocks = mallard_blocks(content, f"{path}: {file}")
        else:
            blocks = html_blocks(content.decode("utf-8", errors="replace"))
        found[file.removesuffix(edition.suffix)] = blocks
    if not found:
        raise ZooError(
            f"{path} has no pages below {edition.folder} that end in {edition.suffix}: the package's layout has changed"
        )
    return found


def documents(page: str, english: Sequence[Block]) -> list[str]:
    """The document of every block: the page, cut before sections (second-level headings) where it is long.

    It follows from the English page, so that the translations of a document have one name.
    """
    found: list[str] = []
    name, begun = page, 0
    for place, block in enumerate(english):
        if 0 < block.level <= 2 and place - begun >= _LEAST:
            name, begun = f"{page}#{block.ids[-1] if block.ids else place}", place
        found.append(name)
    return found


def pairs_of(
    manual: Manual, page: str, english: Sequence[Block], other: Sequence[Block], language: str, dropped: Counter[str]
) -> Iterator[Pair]:
    """The sentence pairs of a page; `dropped` counts the blocks and sentences left out by reason, orders do too."""
    matches = aligned(english, other, language)
    dropped["block without a counterpart"] += len(english) - len(matches)
    owners, orders = documents(f"{manual.name}/{page}", english), Counter[str]()
    partners = dict(matches)
    for i, block in enumerate(english):
        left = clean(block.text)
        right = clean(other[partners[i]].text) if i in partners else ""
        if not left and not right:
            # A listing.
            continue
        if i not in partners:
            orders[owners[i]] += 1
            continue
        for first, second in aligned_sentences(left, right, language) if left and right else [(left, right)]:
            order = orders[owners[i]]
            orders[owners[i]] += 1
            reason = reason_to_drop(first, second, language)
            if reason is not None:
                dropped[reason] += 1
                continue
            yield Pair({"en": first, language: second}, owners[i], order, manual.name, manual.licence)
