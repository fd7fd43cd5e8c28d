"""What tasks over a user's own files share: which image is in which split, and when to read them again."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from zoo.errors import InputError, visible
from zoo.images.files import ImageFile, read_image
from zoo.tasks import DataHome, Split, Task
from zoo.tasks.contracts import SPLITS, Output, Progress, silent
from zoo_tasks_vision.images.store import PreparedImages, Recipe, Writers, prepared
from zoo_tasks_vision.tasks.file_options import OwnFilesOptions

VERSION = 1
"""Raise it with any change that gives other examples."""


@dataclass(frozen=True)
class Entry:
    """One image of a list."""

    where: str
    """File and line, or place, for what is wrong with it."""
    name: str
    """As the list has it."""
    path: Path
    document: str | None
    content: Mapping[str, Any] = field(default_factory=dict)
    """What else the example's row has."""


class OwnFilesTask(Task):
    """Reads lists of images and keeps copies of all that they name."""

    options: OwnFilesOptions
    outputs: ClassVar[Output]

    @property
    def name(self) -> str:
        return self.options.name

    @abstractmethod
    def entries(self, path: Path, folder: Path) -> tuple[Sequence[Entry], Mapping[str, Any]]:
        """The images of a list, and facts about it. Raises InputError where it is not what it should be."""

    def joined(self, facts: Mapping[str, Any], found: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
        """Facts `found` in the list at `path`, with those that other lists have given to the same name. Raises
        InputError where they contradict each other."""
        return found

    @abstractmethod
    def row(self, entry: Entry, image: ImageFile) -> Mapping[str, Any]:
        """What is kept of an image beside its id, source and document. Raises InputError where the two do not fit."""

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedImages:
        """Copy the images, or take the copies of an earlier time if neither lists nor images have changed since.

        Raises InputError, naming file and line, for the first thing that is wrong.
        """
        options = self.options
        lists: dict[Split, Sequence[Entry]] = {}
        facts: dict[str, Any] = {"source": "files", "licence": options.licence}
        states = hashlib.sha256()
        for split in SPLITS:
            given: str | None = getattr(options, split)
            if given is None:
                continue
            path = Path(given)
            folder = path.parent if options.images is None else Path(options.images)
            lists[split], found = self.entries(path, folder)
            facts.update(self.joined(facts, found, path))
            states.update(_content(path))
            for entry in lists[split]:
                _check_place(entry, folder)
                try:
                    state = entry.path.stat()
                except OSError as error:
                    raise InputError(
                        f"image '{visible(str(entry.path))}' cannot be read: {error.strerror}", where=entry.where
                    ) from error
                states.update(f"{entry.path} {state.st_size} {state.st_mtime_ns}\n".encode())
        lists = dealt(lists, options)
        settings = {"version": VERSION, "task": type(self).__name__, "files": states.hexdigest(), **options.plain()}
        return prepared(
            home,
            Recipe(self.name, settings),
            lambda writers: self._build(writers, lists, facts, progress),
            outputs=self.outputs,
        )

    def _build(
        self,
        writers: Writers,
        lists: Mapping[Split, Sequence[Entry]],
        facts: Mapping[str, Any],
        progress: Progress,
    ) -> Mapping[str, Any]:
        done, total = 0, sum(map(len, lists.values()))
        taken: dict[str, int] = {}
        for split in SPLITS:
            for entry in lists[split]:
                image = read_image(entry.path, entry.where)
                times = taken[entry.name] = taken.get(entry.name, 0) + 1
                named = {"id": entry.name if times == 1 else f"{entry.name}#{times}", "source": entry.name}
                document = {} if entry.document is None else {"document": entry.document}
                writers[split].add_file(image, {**named, "target": "", **document, **self.row(entry, image)})
                done += 1
                progress("images", done, total)
        return facts


def _check_place(entry: Entry, folder: Path) -> None:
    """Raises InputError where a list names an image outside of its folder: such a list may be somebody else's."""
    # By the names alone: a link inside of the folder is its owner's.
    root = os.path.abspath(folder)
    if not entry.name or "\0" in entry.name:
        raise InputError(f"'{visible(entry.name)}' is no file's name", where=entry.where)
    if not Path(os.path.abspath(entry.path)).is_relative_to(root):
        raise InputError(
            f"image '{visible(entry.name)}' lies outside of {visible(root)}: set images to a folder that has all",
            where=entry.where,
        )


def _content(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def dealt(lists: Mapping[Split, Sequence[Entry]], options: OwnFilesOptions) -> dict[Split, Sequence[Entry]]:
    """All splits: those that no list gives are taken out of train, whole documents by their hash.

    Raises InputError where a document or an image stands in two lists, or too few documents are there for each split to
    have one.
    """
    owner: dict[str, Split] = {}
    place: dict[str, Split] = {}
    for split, entries in lists.items():
        for entry in entries:
            if entry.document is not None and owner.setdefault(entry.document, split) != split:
                raise InputError(
                    f"document '{entry.document}' is in the list of {owner[entry.document]} too: a document belongs "
                    "to one split",
                    where=entry.where,
                )
            if place.setdefault(os.path.abspath(entry.path), split) != split:
                raise InputError(
                    f"image '{visible(entry.name)}' is in the list of {place[os.path.abspath(entry.path)]} too",
                    where=entry.where,
                )
    found: dict[Split, Sequence[Entry]] = dict(lists)
    rest = list(lists["train"])
    documents = sorted({entry.document or entry.name for entry in rest}, key=_rank)
    start = 0
    for split in ("dev", "test"):
        if split in lists:
            continue
        count = max(1, round(getattr(options, f"{split}_fraction") * len(documents)))
        mine = set(documents[start : start + count])
        start += count
        found[split] = [entry for entry in rest if (entry.document or entry.name) in mine]
        rest = [entry for entry in rest if (entry.document or entry.name) not in mine]
    if not rest:
        raise InputError(
            f"{len(documents)} documents are too few to split dev and test off: give lists of them",
            where=options.train,
        )
    found["train"] = rest
    return found


def _rank(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
