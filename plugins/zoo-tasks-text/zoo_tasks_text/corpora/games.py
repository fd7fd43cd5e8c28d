"""The texts of the game Cataclysm: Dark Days Ahead as parallel text, from Debian's package of its data."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zoo.errors import ZooError
from zoo.tasks import Pair
from zoo.tasks.apt import read_members
from zoo.tasks.contracts import Progress
from zoo_tasks_text.corpora.debian import DebianCorpus
from zoo_tasks_text.corpora.markup import sentence_pairs
from zoo_tasks_text.corpora.messages import Message, catalogue

_PACKAGE = "cataclysm-dda-data"
_ROOT = "./usr/share"
_DATA = "games/cataclysm-dda/"
_IDENTIFIER = re.compile(r"[a-z0-9_]+")
_NAMED = frozenset({"name", "str", "str_sp", "str_pl", "text", "description", "title", "verb", "category"})
"""Keys under which a lone word is text."""


@dataclass(frozen=True)
class Place:
    """Where a message is first said."""

    document: str
    order: int
    domain: str


class GamesCorpus(DebianCorpus):
    """English and one other language of the game's messages, told apart by the file that each is said in.

    The document is the JSON file, the domain the `type` of the object (``talk_topic``, ``snippet``, ``monster`` ...).
    Messages of the program itself are of the domain ``interface``, each a document of its own.
    """

    family = "games"
    version = 2
    licence = "CC-BY-SA-3.0"
    locale: ClassVar[str]

    @property
    def packages(self) -> Sequence[str]:
        return (_PACKAGE,)

    def read(self, packages: Mapping[str, Path], progress: Progress, dropped: Counter[str]) -> list[Pair]:
        path = packages[_PACKAGE]
        name = f"locale/{self.locale}/LC_MESSAGES/cataclysm-dda.mo"
        files: dict[str, bytes] = {}
        for member, content in read_members(path, _ROOT, (".json", name)):
            files[member] = content
            if len(files) % 100 == 0:
                progress(f"read {_PACKAGE}", len(files), 0)
        compiled = files.pop(name, None)
        if compiled is None or not files:
            raise ZooError(f"{path} lacks {name} or the JSON files beside it: the package's layout has changed")
        found = places({file.removeprefix(_DATA): content for file, content in files.items()})
        return align(catalogue(compiled, f"{path}: {name}"), found, self.language, dropped)


class GamesChinese(GamesCorpus):
    """Simplified Chinese and English."""

    language = "zh"
    locale = "zh_CN"


class GamesJapanese(GamesCorpus):
    """Japanese and English."""

    language = "ja"
    locale = "ja"


def places(files: Mapping[str, bytes]) -> dict[str, Place]:
    """Text -> its first place in the JSON files (name -> content), by name. Raises ZooError for what is no JSON."""
    found: dict[str, Place] = {}
    for name in sorted(files):
        try:
            data = json.loads(files[name])
        except (ValueError, RecursionError) as error:
            raise ZooError(f"{_PACKAGE}: {name} is no JSON: {error}") from error
        order = 0
        for item in data if isinstance(data, list) else [data]:
            kind = item.get("type") if isinstance(item, dict) else None
            domain = kind.lower() if isinstance(kind, str) else "other"
            for text in _texts(item):
                found.setdefault(text, Place(name.removesuffix(".json"), order, domain))
                order += 1
    return found


def _texts(value: Any, key: str = "") -> Iterator[str]:
    """The strings of a JSON value in their order, but names of keys and those that look like identifiers."""
    if isinstance(value, str):
        if value and (key in _NAMED or not _IDENTIFIER.fullmatch(value)):
            yield value
    elif isinstance(value, dict):
        for inner, child in value.items():
            if inner != "type":
                yield from _texts(child, inner)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child, key)


def align(messages: Iterable[Message], found: Mapping[str, Place], language: str, dropped: Counter[str]) -> list[Pair]:
    """Pairs by document and place; `dropped` counts by reason what is left out, and orders count it too."""
    placed: dict[str, list[tuple[int, str, Message]]] = {}
    for message in messages:
        place = found.get(message.text)
        if place is None:
            # No hash of the translation: one message is in the same split for all languages.
            digest = hashlib.sha256(message.text.encode()).hexdigest()[:12]
            place = Place(f"interface/{digest}", 0, "interface")
        placed.setdefault(place.document, []).append((place.order, place.domain, message))
    pairs: list[Pair] = []
    for document in sorted(placed):
        kept, begun = 0, dropped.total()
        # One text may come with several contexts; they are in the order of the catalogue.
        for _, domain, message in sorted(placed[document], key=lambda entry: entry[0]):
            for left, right in sentence_pairs(message.text, message.translation, language, dropped):
                order = kept + dropped.total() - begun
                pairs.append(Pair({"en": left, language: right}, document, order, domain))
                kept += 1
    return pairs
