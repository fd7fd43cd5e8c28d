"""Messages of programs as parallel text, from the catalogues in their Debian packages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from zoo.errors import ZooError
from zoo.tasks import Pair, Split
from zoo.tasks.apt import read_members
from zoo.tasks.contracts import Progress
from zoo_tasks_text.corpora import resource_packs
from zoo_tasks_text.corpora.cleaning import aligned_sentences, clean
from zoo_tasks_text.corpora.debian import DebianCorpus
from zoo_tasks_text.corpora.interface_text import (
    blocks,
    numbered,
    reason_to_drop_message,
    without_ellipsis,
    without_marks,
)
from zoo_tasks_text.corpora.messages import catalogue
from zoo_tasks_text.corpora.splits import comparison_key, split_of

_LOCALES = "./usr/share/locale"
_QUALIFIER = re.compile(r"^\?[^:?]+:")


@dataclass(frozen=True)
class Program:
    """A program with translated messages."""

    domain: str
    package: str
    """Debian's; ``{}`` stands for the language where each has a package of its own."""
    licence: str
    """Of its messages, as the package's copyright file has it."""
    folder: str = _LOCALES
    """Where the package keeps its languages."""
    marks: str = ""
    """Characters that stand before the letter that is an entry's key."""


PROGRAMS = (
    Program("blender", "blender-data", "GPL-2+"),
    Program("chromium", "chromium-l10n", "BSD-3-Clause", folder="./usr/lib/chromium/locales", marks="&"),
    Program("freeciv", "freeciv-data", "GPL-2+", marks="_"),
    Program("gcc", "gcc-12-locales", "GPL-3+"),
    Program(
        "libreoffice", "libreoffice-l10n-{}", "MPL-2.0", folder="./usr/lib/libreoffice/program/resource", marks="_~"
    ),
    Program("postgresql", "postgresql-15", "PostgreSQL"),
)


class InterfacesCorpus(DebianCorpus):
    """English and one other language of the messages of several programs. They belong to no document."""

    family = "interfaces"
    version = 1
    licence = " and ".join(sorted({program.licence for program in PROGRAMS}))
    share = 0.01
    locale: ClassVar[str]
    """The language's folder in a package, such as ``zh_CN``."""

    @property
    def packages(self) -> Sequence[str]:
        return [self._package(program) for program in PROGRAMS]

    def _package(self, program: Program) -> str:
        return program.package.format(self.locale.lower().replace("_", "-"))

    def dealt(self, pairs: list[Pair]) -> dict[Split, list[Pair]]:
        """By the English text, so that one message is in the same split whatever its translations."""
        dealt: dict[Split, list[Pair]] = {"train": [], "dev": [], "test": []}
        for pair in pairs:
            key = comparison_key(pair.texts["en"])
            dealt[split_of(key, dev=self.share, test=self.share, salt=self.family)].append(pair)
        return dealt

    def read(self, packages: Mapping[str, Path], progress: Progress, dropped: Counter[str]) -> list[Pair]:
        pairs: list[Pair] = []
        for done, program in enumerate(PROGRAMS):
            progress("read programs", done, len(PROGRAMS))
            path = packages[self._package(program)]
            reader = _pack_messages if program.domain == "chromium" else _catalogue_messages
            messages = reader(path, program, self.locale)
            if not messages:
                raise ZooError(
                    f"{path} has no messages in {self.locale} below {program.folder}: the package's layout has changed"
                )
            for english, other in messages:
                for left, right in message_pairs(english, other, program, self.language, dropped):
                    texts = {"en": left, self.language: right}
                    pairs.append(Pair(texts, domain=program.domain, licence=program.licence))
        progress("read programs", len(PROGRAMS), len(PROGRAMS))
        return pairs


class InterfacesChinese(InterfacesCorpus):
    """Simplified Chinese and English."""

    language = "zh"
    locale = "zh_CN"


class InterfacesJapanese(InterfacesCorpus):
    """Japanese and English."""

    language = "ja"
    locale = "ja"


def _catalogue_messages(path: Path, program: Program, locale: str) -> list[tuple[str, str]]:
    """English and translation, by catalogue and message."""
    prefix = f"{program.folder}/{locale}/LC_MESSAGES"
    found = dict(read_members(path, prefix, ".mo"))
    return [
        (message.text, message.translation)
        for name in sorted(found)
        for message in catalogue(found[name], f"{path}: {name}")
    ]


def _pack_messages(path: Path, program: Program, locale: str) -> list[tuple[str, str]]:
    """English (British: the American pack is in a package of 30 MB) and translation, by number."""
    names = [f"{language}.pak" for language in ("en-GB", locale.replace("_", "-"))]
    found = {
        name: resource_packs.texts(data, f"{path}: {name}")
        for name, data in read_members(path, program.folder, ".pak")
        if name in names
    }
    english, other = (found.get(name, {}) for name in names)
    return [(english[number], other[number]) for number in english if number in other]


def message_pairs(
    english: str, other: str, program: Program, language: str, dropped: Counter[str]
) -> Iterator[tuple[str, str]]:
    """The cleaned pairs of sentences of one message; `dropped` counts the others by reason."""
    if program.domain == "libreoffice":
        # The program shows its name in this place.
        english, other = (side.replace("%PRODUCTNAME", "LibreOffice") for side in (english, other))
    if program.domain == "gcc":
        # %< and %> become quotation marks, which no language's translation changes.
        english, other = (side.replace("%<", "‘").replace("%>", "’") for side in (english, other))
    if program.domain == "freeciv":
        # What tells apart two messages of the same text: "?plural:Romans".
        english, other = (_QUALIFIER.sub("", side) for side in (english, other))
    for mark in program.marks:
        english, other = without_marks(english, other, mark)
    if program.domain == "chromium":
        english, other = english.replace("&&", "&"), other.replace("&&", "&")
    for left, right in blocks(numbered(english, other), other):
        left, right = (without_ellipsis(clean(side)) for side in (left, right))
        for pair in aligned_sentences(left, right, language) if left and right else [(left, right)]:
            reason = reason_to_drop_message(*pair, language)
            if reason is None:
                yield pair
            else:
                dropped[reason] += 1
