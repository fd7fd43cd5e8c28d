"""Prepared corpora on disk: one folder per revision, whole or absent, named by its content."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from zoo.atomic import TEMPORARY_PREFIX, atomic_directory, locked, sweep, write_atomic
from zoo.errors import ZooError
from zoo.tasks import DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import SPLITS
from zoo_tasks_text.corpora.pair_files import PairWriter, StoredPairs, canonical, encode_pairs, read_content

if TYPE_CHECKING:
    from zoo_tasks_text.corpora.pair_files import Offsets

__all__ = [
    "Recipe",
    "StoredCorpus",
    "canonical",
    "encode_pairs",
    "exclusive",
    "find",
    "prepare",
    "revision_of",
    "store",
    "store_stream",
]

FORMAT = "zoo.corpus/1"
FACTS = "facts.json"
CHECKED = "checked.json"
"""Sizes and times of the files as they were last hashed."""
HASHED_ALWAYS = 2**28
"""Bytes of a corpus, all splits together, up to which every opening hashes them: a fraction of a second."""


@dataclass(frozen=True)
class Recipe:
    """What a corpus is built by: its name, and all its content follows from but the bytes of its source."""

    name: str
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        return hashlib.sha256(canonical({"name": self.name, **self.settings}).encode()).hexdigest()[:16]


def revision_of(digests: Mapping[Split, str]) -> str:
    """``sha256:<hex>`` over the SHA-256 of each split's file."""
    content = {"format": FORMAT, "splits": {split: digests[split] for split in SPLITS}}
    return "sha256:" + hashlib.sha256(canonical(content).encode()).hexdigest()


class StoredCorpus(PreparedCorpus):
    """A prepared corpus in a folder, read from there pair by pair.

    Opening it hashes its files and compares them with the revision. Above `HASHED_ALWAYS` bytes that takes seconds, so
    such files are hashed only where their size or time of change is not that of the last check (`CHECKED`).
    """

    def __init__(self, directory: Path) -> None:
        facts = json.loads((directory / FACTS).read_text(encoding="utf-8"))
        self.directory = directory
        self.name: str = facts["name"]
        self.revision: str = facts["revision"]
        self.languages: tuple[str, ...] = tuple(facts["languages"])
        self.licence: str = facts["licence"]
        self.facts: Mapping[str, Any] = facts
        self._files = {split: directory / f"{split}.jsonl" for split in SPLITS}
        self._offsets = self._as_checked_before() or self._checked()
        self._pairs: dict[Split, StoredPairs] = {}

    def pairs(self, split: Split) -> Sequence[Pair]:
        if split not in self._pairs:
            self._pairs[split] = StoredPairs(self._files[split], self._offsets[split])
        return self._pairs[split]

    def _checked(self) -> dict[Split, Offsets]:
        """Read every file once: its hash, and where its lines are. Raises ValueError where a file is damaged."""
        before = self._states()
        contents = {split: read_content(path) for split, path in self._files.items()}
        if revision_of({split: content.digest for split, content in contents.items()}) != self.revision:
            raise ValueError(f"{self.directory}: the files differ from the revision they were prepared as")
        offsets = {split: content.offsets for split, content in contents.items()}
        if sum(content.size for content in contents.values()) <= HASHED_ALWAYS:
            return offsets
        # A folder that cannot be written is checked anew each time.
        with suppress(OSError):
            for split, found in offsets.items():
                write_atomic(self._index(split), _npy(found))
            write_atomic(self.directory / CHECKED, canonical({"revision": self.revision, "files": before}) + "\n")
        return offsets

    def _as_checked_before(self) -> dict[Split, Offsets] | None:
        """The index that an earlier check left; None where there was none, or something has changed since."""
        import numpy as np

        try:
            checked = json.loads((self.directory / CHECKED).read_text(encoding="utf-8"))
            if checked != {"revision": self.revision, "files": self._states()}:
                return None
            offsets = {split: np.load(self._index(split), mmap_mode="r", allow_pickle=False) for split in SPLITS}
            for split, path in self._files.items():
                found = offsets[split]
                if found.dtype != np.int64 or found.shape != (self.facts["pairs"][split] + 1,):
                    return None
                if found[0] != 0 or found[-1] != path.stat().st_size or np.any(found[1:] <= found[:-1]):
                    return None
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None
        return offsets

    def _states(self) -> dict[str, list[int]]:
        """Size and time of change (ns) of each file."""
        found = {split: path.stat() for split, path in self._files.items()}
        return {split: [state.st_size, state.st_mtime_ns] for split, state in found.items()}

    def _index(self, split: Split) -> Path:
        return self.directory / f"{split}.offsets.npy"


def _npy(array: Offsets) -> bytes:
    stream = io.BytesIO()
    import numpy as np

    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


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
    splits: Mapping[Split, Iterable[Pair]],
    *,
    languages: Sequence[str],
    licence: str,
    facts: Mapping[str, Any],
) -> StoredCorpus:
    """Write the splits as one whole folder and remember it as what `recipe` gives. Call inside `exclusive`.

    A split may be any iterable and larger than memory: each is walked through once, train first. `facts` are read
    after that, so that they may count what the iterables left out.
    """
    stream = ((split, pair) for split in SPLITS for pair in splits[split])
    return store_stream(home, recipe, stream, languages=languages, licence=licence, facts=facts)


def store_stream(
    home: DataHome,
    recipe: Recipe,
    pairs: Iterable[tuple[Split, Pair]],
    *,
    languages: Sequence[str],
    licence: str,
    facts: Mapping[str, Any],
) -> StoredCorpus:
    """`store` for pairs of all splits in one stream."""
    folder = home.corpora / recipe.name
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder, ignore_cleanup_errors=True) as name:
        written = _write(Path(name), pairs)
        for split in SPLITS:
            if not written[split].count:
                raise ZooError(f"corpus {recipe.name}: the {split} split is empty")
        revision = revision_of({split: writer.digest for split, writer in written.items()})
        found = find(home, recipe, revision)
        if found is None:
            full = {
                **facts,
                "format": FORMAT,
                "name": recipe.name,
                "revision": revision,
                "languages": list(languages),
                "licence": licence,
                "recipe": recipe.key,
                "settings": dict(recipe.settings),
                "pairs": {split: writer.count for split, writer in written.items()},
            }
            text = json.dumps(full, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
            with atomic_directory(_directory(folder, revision)) as directory:
                for split in SPLITS:
                    os.replace(Path(name) / f"{split}.jsonl", directory / f"{split}.jsonl")
                (directory / FACTS).write_text(text, encoding="utf-8")
            found = StoredCorpus(_directory(folder, revision))
    write_atomic(folder / f"{recipe.key}.json", canonical({"revision": revision}) + "\n")
    return found


def _write(directory: Path, pairs: Iterable[tuple[Split, Pair]]) -> dict[Split, PairWriter]:
    with ExitStack() as stack:
        writers = {
            split: PairWriter(stack.enter_context((directory / f"{split}.jsonl").open("wb"))) for split in SPLITS
        }
        for split, pair in pairs:
            writers[split].write(pair)
    return writers


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
