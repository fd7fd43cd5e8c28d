"""The campaigns of the game Battle for Wesnoth as parallel text, its dialogue in order, from Debian's packages."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from zoo.errors import ZooError
from zoo.tasks import Pair, Split
from zoo.tasks.apt import read_members
from zoo.tasks.contracts import Progress
from zoo_tasks_text.corpora.debian import DebianCorpus
from zoo_tasks_text.corpora.markup import sentence_pairs
from zoo_tasks_text.corpora.messages import Message, catalogue
from zoo_tasks_text.corpora.wml import Translatable, lua_strings, wml_strings

_SERIES = "wesnoth-1.16"
_CAMPAIGN_PACKAGES = (
    "did",
    "dm",
    "dw",
    "ei",
    "httt",
    "l",
    "low",
    "nr",
    "sof",
    "sota",
    "sotbe",
    "thot",
    "trow",
    "tsg",
    "ttb",
    "utbs",
)
_ROOT = "./usr/share/games/wesnoth/1.16"
_DATA = "data/"
_CAMPAIGNS = "campaigns/"

HELD_OUT: Mapping[str, Split] = {
    "Dead_Water": "dev",
    "The_Hammer_of_Thursagan": "dev",
    "Secrets_of_the_Ancients": "test",
    "Two_Brothers": "test",
}
"""Campaigns that no training pair comes from: merfolk and dwarves in dev; a necromancer and two knights in test."""

_BY_DOMAIN = {
    "wesnoth-units": "unit",
    "wesnoth-help": "help",
    "wesnoth-tutorial": "tutorial",
    "wesnoth-multiplayer": "multiplayer",
    "wesnoth-anl": "multiplayer",
    "wesnoth-wc": "multiplayer",
}
_OBJECTIVES = frozenset({"objective", "objectives", "note", "gold_carryover"})
_CONTEXT_LONGEST = 60


@dataclass(frozen=True)
class Place:
    """Where a message is first said."""

    document: str
    order: int
    domain: str


class StoriesCorpus(DebianCorpus):
    """English and one other language of the game's messages; all of a campaign is in one split.

    The document is the scenario or other file that a message is said in, ``campaigns/<campaign>/scenarios/<scenario>``;
    `order` follows the file. The domain is the kind of text: ``dialogue``, ``narration``, ``objective`` and
    ``campaign`` (names, labels, macros' texts) in campaigns, else ``unit``, ``help``, ``tutorial``, ``multiplayer``
    and ``interface``. Not the campaign: tags of training then mean something for campaigns that are held out.
    """

    family = "stories"
    version = 2
    licence = "GPL-2+"
    locale: ClassVar[str]

    @property
    def packages(self) -> Sequence[str]:
        return (f"{_SERIES}-data", *(f"{_SERIES}-{name}" for name in _CAMPAIGN_PACKAGES))

    def read(self, packages: Mapping[str, Path], progress: Progress, dropped: Counter[str]) -> list[Pair]:
        compiled = f"/{self.locale}/LC_MESSAGES/"
        catalogues: dict[str, list[Message]] = {}
        strings: dict[str, list[Translatable]] = {}
        for number, package in enumerate(self.packages):
            progress("read packages", number, len(packages))
            for name, content in read_members(packages[package], _ROOT, (".mo", ".cfg", ".lua")):
                if name.startswith(_DATA) and not name.endswith(".mo"):
                    source = content.decode("utf-8", errors="replace")
                    read = lua_strings if name.endswith(".lua") else wml_strings
                    strings[name.removeprefix(_DATA)] = list(read(source))
                elif compiled in name:
                    domain = name.rpartition("/")[2].removesuffix(".mo")
                    catalogues[domain] = catalogue(content, f"{packages[package]}: {name}")
        progress("read packages", len(packages), len(packages))
        if not catalogues or not strings:
            raise ZooError(
                f"the packages {_SERIES}-* have no catalogues of {self.locale} or no scenarios below {_ROOT}: their "
                "layout has changed"
            )
        return align(catalogues, places(strings), self.language, dropped)

    def dealt(self, pairs: list[Pair]) -> dict[Split, list[Pair]]:
        """Whole campaigns to dev and test, all else to train."""
        splits: dict[Split, list[Pair]] = {"train": [], "dev": [], "test": []}
        for pair in pairs:
            splits[HELD_OUT.get(campaign(pair.document or "") or "", "train")].append(pair)
        return splits


class StoriesChinese(StoriesCorpus):
    """Simplified Chinese and English."""

    language = "zh"
    locale = "zh_CN"


class StoriesJapanese(StoriesCorpus):
    """Japanese and English."""

    language = "ja"
    locale = "ja"


def campaign(document: str) -> str | None:
    """The folder of the campaign that a document belongs to."""
    return document.split("/")[1] if document.startswith(_CAMPAIGNS) else None


def places(files: Mapping[str, Sequence[Translatable]]) -> dict[tuple[str, str], Place]:
    """(catalogue, text) -> its first place in the files, by name."""
    found: dict[tuple[str, str], Place] = {}
    for name in sorted(files, key=_reading_order):
        for order, string in enumerate(files[name]):
            place = Place(name.rpartition(".")[0], order, _domain(name, string))
            found.setdefault((string.domain, string.text), place)
    return found


def _reading_order(name: str) -> tuple[bool, str]:
    """Scenarios first: a line that a macro's file has, too, belongs to the dialogue."""
    return "/scenarios/" not in name, name


def _domain(name: str, string: Translatable) -> str:
    if string.domain in _BY_DOMAIN:
        return _BY_DOMAIN[string.domain]
    if not name.startswith(_CAMPAIGNS):
        return "interface"
    if string.tag in _OBJECTIVES:
        return "objective"
    return {"message": "dialogue", "story": "narration"}.get(string.key, "campaign")


def align(
    catalogues: Mapping[str, Iterable[Message]],
    found: Mapping[tuple[str, str], Place],
    language: str,
    dropped: Counter[str],
) -> list[Pair]:
    """Pairs by document and place; `dropped` counts by reason what is left out, and orders count it too."""
    folders = _folders(found)
    placed: dict[str, list[tuple[int, str, Message]]] = {}
    for name in sorted(catalogues):
        for message in catalogues[name]:
            place = found.get((name, message.text)) or _elsewhere(name, message.text, folders)
            placed.setdefault(place.document, []).append((place.order, place.domain, message))
    pairs: list[Pair] = []
    for document in sorted(placed):
        kept, begun = 0, dropped.total()
        for _, domain, message in sorted(placed[document], key=lambda entry: entry[0]):
            texts = without_prefix(message.text, message.translation)
            for left, right in sentence_pairs(*texts, language, dropped):
                order = kept + dropped.total() - begun
                pairs.append(Pair({"en": left, language: right}, document, order, domain))
                kept += 1
    return pairs


def _folders(found: Mapping[tuple[str, str], Place]) -> dict[str, str]:
    """Catalogue -> the campaign's folder, where most of its messages stand in one."""
    counts: dict[str, Counter[str]] = {}
    for (catalogue_name, _), place in found.items():
        counts.setdefault(catalogue_name, Counter())[campaign(place.document) or ""] += 1
    most = {name: min(count, key=lambda folder: (-count[folder], folder)) for name, count in counts.items()}
    return {name: folder for name, folder in most.items() if folder}


def _elsewhere(name: str, text: str, folders: Mapping[str, str]) -> Place:
    """The place of a message that no file has as it is: a document of its own, below the campaign if it is one's."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    if name in folders:
        return Place(f"{_CAMPAIGNS}{folders[name]}/other/{digest}", 0, _BY_DOMAIN.get(name, "campaign"))
    return Place(f"{name}/{digest}", 0, _BY_DOMAIN.get(name, "interface"))


def without_prefix(text: str, translation: str) -> tuple[str, str]:
    """A message and its translation without the context that Wesnoth writes in front: ``female^Princess``."""
    context, caret, rest = text.partition("^")
    if not caret or len(context) > _CONTEXT_LONGEST or "\n" in context:
        return text, translation
    kept, caret, translated = translation.partition("^")
    # Translators leave it out; of those who did not, some translated it. Further carets belong to the text.
    if caret and (kept == context or ("^" not in rest and len(kept) <= _CONTEXT_LONGEST)):
        translation = translated
    return rest, translation
