"""Prepared corpora on disk: one folder per revision, whole or absent, named by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.atomic import atomic_directory, locked, sweep, write_atomic
from zoo.errors import ZooError
from zoo.tasks import Check, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import SPLITS

FORMAT = "zoo.corpus/1"
FACTS = "facts.json"

SplitPairs = Mapping[Split, Sequence[Pair]]


@dataclass(frozen=True)
class Recipe:
    """What a corpus is built by: its name, and all its content follows from but the bytes of its source."""

    name: str
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        return hashlib.sha256(canonical({"name": self.name, **self.settings}).encode()).hexdigest()[:16]


def canonical(value: Any) -> str:
    """JSON with one spelling: the same value gives the same text on every platform."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def encode_pairs(pairs: Sequence[Pair]) -> bytes:
    """JSON lines, one pair a line. A lone surrogate in a text raises UnicodeEncodeError."""
    return "".join(canonical(_row(pair)) + "\n" for pair in pairs).encode()


def _row(pair: Pair) -> dict[str, Any]:
    row: dict[str, Any] = {
        "texts": dict(pair.texts),
        "document": pair.document,
        "order": pair.order,
        "domain": pair.domain,
    }
    if pair.licence is not None:
        row["licence"] = pair.licence
    if pair.checks:
        row["checks"] = {language: [vars(check) for check in checks] for language, checks in pair.checks.items()}
    if pair.contrasts:
        row["contrasts"] = dict(pair.contrasts)
    return row


def decode_pairs(data: bytes) -> list[Pair]:
    """The inverse of `encode_pairs`."""
    # Not splitlines(): a text may hold U+2028, which JSON leaves unescaped.
    return [decode_pair(line) for line in data.decode().split("\n") if line]


def decode_pair(line: str | bytes) -> Pair:
    """One line of `encode_pairs`."""
    row = json.loads(line)
    if "checks" in row:
        row["checks"] = {
            language: tuple(Check(**{**check, "wrong": tuple(check["wrong"])}) for check in checks)
            for language, checks in row["checks"].items()
        }
    if "contrasts" in row:
        row["contrasts"] = {language: tuple(texts) for language, texts in row["contrasts"].items()}
    return Pair(**row)


def revision_of(contents: Mapping[Split, bytes]) -> str:
    """``sha256:<hex>`` over the encoded splits."""
    digests = {split: hashlib.sha256(contents[split]).hexdigest() for split in SPLITS}
    return "sha256:" + hashlib.sha256(canonical({"format": FORMAT, "splits": digests}).encode()).hexdigest()


class StoredCorpus(PreparedCorpus):
    """A prepared corpus in a folder. Its files are checked against the revision when it is opened."""

    def __init__(self, directory: Path) -> None:
        facts = json.loads((directory / FACTS).read_text(encoding="utf-8"))
        self.directory = directory
        self.name: str = facts["name"]
        self.revision: str = facts["revision"]
        self.languages: tuple[str, ...] = tuple(facts["languages"])
        self.licence: str = facts["licence"]
        self.facts: Mapping[str, Any] = facts
        self._contents = {split: (directory / f"{split}.jsonl").read_bytes() for split in SPLITS}
        if revision_of(self._contents) != self.revision:
            raise ValueError(f"{directory}: the files differ from the revision they were prepared as")
        self._pairs: dict[Split, list[Pair]] = {}

    def pairs(self, split: Split) -> Sequence[Pair]:
        if split not in self._pairs:
            self._pairs[split] = decode_pairs(self._contents.pop(split))
        return self._pairs[split]


@contextmanager
def exclusive(home: DataHome, name: str) -> Iterator[None]:
    """Only one process prepares a corpus at a time; a killed process gives the lock back."""
    folder = home.corpora / name
    with locked(folder / ".lock"):
        # The lock is ours, so what lies here under a temporary name is of a writer that died.
        sweep(folder)
        yield


def find(home: DataHome, recipe: Recipe, revision: str | None = None) -> StoredCorpus | None:
    """The corpus that `recipe` was last prepared as, or its given `revision`; None where none is there whole."""
    folder = home.corpora / recipe.name
    if revision is None:
        try:
            revision = json.loads((folder / f"{recipe.key}.json").read_text(encoding="utf-8"))["revision"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
    try:
        return StoredCorpus(_directory(folder, str(revision)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def store(
    home: DataHome,
    recipe: Recipe,
    splits: SplitPairs,
    *,
    languages: Sequence[str],
    licence: str,
    facts: Mapping[str, Any],
) -> StoredCorpus:
    """Write the splits as one whole folder and remember it as what `recipe` gives. Call inside `exclusive`."""
    for split in SPLITS:
        if not splits[split]:
            raise ZooError(f"corpus {recipe.name}: the {split} split is empty")
    contents = {split: encode_pairs(splits[split]) for split in SPLITS}
    revision = revision_of(contents)
    folder = home.corpora / recipe.name
    found = find(home, recipe, revision)
    if found is None:
        with atomic_directory(_directory(folder, revision)) as directory:
            for split, data in contents.items():
                (directory / f"{split}.jsonl").write_bytes(data)
            full = {
                **facts,
                "format": FORMAT,
                "name": recipe.name,
                "revision": revision,
                "languages": list(languages),
                "licence": licence,
                "recipe": recipe.key,
                "settings": dict(recipe.settings),
                "pairs": {split: len(splits[split]) for split in SPLITS},
            }
            text = json.dumps(full, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
            (directory / FACTS).write_text(text, encoding="utf-8")
        found = StoredCorpus(_directory(folder, revision))
    write_atomic(folder / f"{recipe.key}.json", canonical({"revision": revision}) + "\n")
    return found


def prepare(
    home: DataHome,
    recipe: Recipe,
    build: Callable[[], StoredCorpus],
    *,
    revision: str | None = None,
    refresh: bool = False,
) -> StoredCorpus:
    """Find the corpus or build it; raises ZooError where `revision` is asked for and the build gives another."""
    found = None if refresh else find(home, recipe, revision)
    if found is None:
        with exclusive(home, recipe.name):
            # Another process may have built it while this one waited for the lock.
            found = (None if refresh else find(home, recipe, revision)) or build()
    if revision is not None and found.revision != revision:
        sources = found.facts.get("packages")
        raise ZooError(
            f"corpus {recipe.name}: revision {revision} is asked for, but the source now gives {found.revision}"
            + (f" ({', '.join(f'{name} {version}' for name, version in sources.items())})" if sources else "")
            + ": take this revision, or bring the prepared folder of the other from the machine that has it"
        )
    return found


def _directory(folder: Path, revision: str) -> Path:
    return folder / revision.removeprefix("sha256:")[:16]
