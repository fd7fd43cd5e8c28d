"""Sets of images on disk: per split one file of pixels and one of what is known of each image."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Literal, overload

import numpy as np
from numpy.typing import NDArray

from zoo.atomic import atomic_directory, locked, sweep, write_atomic
from zoo.errors import ZooError
from zoo.images.files import ImageFile, decoded
from zoo.tasks import DataHome, Example, GroundTruth, PreparedTask, Split
from zoo.tasks.contracts import SPLITS, Output

FORMAT = "zoo.images/1"
FACTS = "facts.json"
Pixels = NDArray[np.uint8]
Codec = Literal["raw", "file"]


@dataclass(frozen=True)
class StoredImage:
    """An image in a file of many. It can be pickled, and holds no open file."""

    path: Path
    offset: int
    length: int
    """Bytes in the file."""
    height: int
    width: int
    channels: int
    """1 (grey) or 3."""
    codec: Codec = "raw"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    def load(self) -> Pixels:
        """The pixels ``[H, W, 3]``, RGB. Raises ZooError where the file is gone or too short."""
        try:
            stored = _mapped(self.path)[self.offset : self.offset + self.length]
        except (OSError, ValueError) as error:
            raise ZooError(f"{self.path} cannot be read: {error}") from error
        if len(stored) != self.length:
            raise ZooError(f"{self.path} ends before the image at byte {self.offset}: prepare the task again")
        shape = (self.height, self.width, self.channels)
        pixels = np.asarray(stored).reshape(shape) if self.codec == "raw" else decoded(stored.tobytes(), shape)
        return np.array(np.broadcast_to(pixels, (self.height, self.width, 3)))  # [H, W, 3]


@lru_cache(maxsize=16)
def _mapped(path: Path) -> NDArray[np.uint8]:
    """The bytes of a file, which never changes: its folder is named by its content."""
    return np.memmap(path, np.uint8, mode="r")


class StoredExamples(Sequence[Example]):
    """The examples of a split, each read from its line when it is asked for."""

    def __init__(self, directory: Path, split: Split) -> None:
        self._pixels = directory / f"{split}.pixels"
        self._path = directory / f"{split}.jsonl"
        self._ends = np.flatnonzero(np.memmap(self._path, np.uint8, mode="r") == ord("\n")) + 1  # [N]

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        place = range(len(self))[index]  # raises IndexError, counts from the end
        start = int(self._ends[place - 1]) if place else 0
        return self._example(_mapped(self._path)[start : int(self._ends[place])].tobytes())

    def __iter__(self) -> Iterator[Example]:
        with self._path.open("rb") as stream:
            yield from map(self._example, stream)

    def _example(self, line: bytes) -> Example:
        row = json.loads(line)
        return Example(
            id=row["id"],
            source=row["source"],
            target=row["target"],
            document=row.get("document"),
            image=StoredImage(self._pixels, *row["image"]),
            boxes=tuple(GroundTruth(tuple(box[:4]), box[4], bool(box[5])) for box in row.get("boxes", ())),
            strata=row.get("strata", {}),
        )


class PreparedImages(PreparedTask):
    """A set of images in a folder. Raises OSError, ValueError or KeyError where the folder is not whole."""

    inputs = "image"

    def __init__(self, directory: Path) -> None:
        facts = json.loads((directory / FACTS).read_text(encoding="utf-8"))
        self.directory = directory
        self.revision: str = facts["revision"]
        self.outputs: Output = facts["outputs"]
        self.facts: Mapping[str, Any] = facts
        for name, size in facts["bytes"].items():
            if (directory / name).stat().st_size != size:
                raise ValueError(f"{directory / name}: expected {size} bytes")
        self._examples: dict[Split, StoredExamples] = {}

    def examples(self, split: Split) -> StoredExamples:
        if split not in self._examples:
            self._examples[split] = StoredExamples(self.directory, split)
        return self._examples[split]


class ImageWriter:
    """Writes the images of one split, in the order in which they are added."""

    def __init__(self, pixels: BinaryIO, lines: BinaryIO) -> None:
        self._pixels, self._lines = pixels, lines
        self._digests = hashlib.sha256(), hashlib.sha256()
        self.count = 0
        self.sizes = [0, 0]

    @property
    def digest(self) -> list[str]:
        return [digest.hexdigest() for digest in self._digests]

    def add(self, pixels: Pixels, row: Mapping[str, Any]) -> None:
        """`pixels` are ``[H, W]`` or ``[H, W, 3]``; `row` has id, source, target; document, strata, boxes if any."""
        height, width = pixels.shape[:2]
        self._write(pixels.tobytes(), row, height, width, 1 if pixels.ndim == 2 else 3, "raw")

    def add_file(self, file: ImageFile, row: Mapping[str, Any]) -> None:
        """An image as a file has it; what `load` gives of it is what Pillow decodes."""
        self._write(file.data, row, file.height, file.width, file.channels, "file")

    def _write(self, data: bytes, row: Mapping[str, Any], height: int, width: int, channels: int, codec: Codec) -> None:
        place = [self.sizes[0], len(data), height, width, channels, codec]
        line = json.dumps({**row, "image": place}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        for number, (stream, content) in enumerate(((self._pixels, data), (self._lines, line.encode() + b"\n"))):
            stream.write(content)
            self._digests[number].update(content)
            self.sizes[number] += len(content)
        self.count += 1


@dataclass(frozen=True)
class Recipe:
    """What a set is made by: its name, and all that its content follows from."""

    name: str
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        text = json.dumps({"name": self.name, **self.settings}, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


Writers = Mapping[Split, ImageWriter]


def prepared(
    home: DataHome, recipe: Recipe, build: Callable[[Writers], Mapping[str, Any]], *, outputs: Output = "text"
) -> PreparedImages:
    """The set that an earlier run left, or else the one that `build` writes; it returns facts of its own.

    Raises ZooError where a split stays empty.
    """
    found = _found(home, recipe)
    if found is None:
        folder = home.images / recipe.name
        with locked(folder / ".lock"):
            # The lock is ours, so what lies here under a temporary name is of a writer that died.
            sweep(folder)
            found = _found(home, recipe) or _built(folder, recipe, build, outputs)
    return found


def _found(home: DataHome, recipe: Recipe) -> PreparedImages | None:
    folder = home.images / recipe.name
    try:
        revision = json.loads((folder / f"{recipe.key}.json").read_text(encoding="utf-8"))["revision"]
        return PreparedImages(_directory(folder, str(revision)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _built(
    folder: Path, recipe: Recipe, build: Callable[[Writers], Mapping[str, Any]], outputs: Output
) -> PreparedImages:
    with _renamed(folder) as (directory, settle):
        with ExitStack() as stack:
            writers = {
                split: ImageWriter(
                    stack.enter_context((directory / f"{split}.pixels").open("wb")),
                    stack.enter_context((directory / f"{split}.jsonl").open("wb")),
                )
                for split in SPLITS
            }
            facts = build(writers)
        for split, writer in writers.items():
            if not writer.count:
                raise ZooError(f"task {recipe.name}: the {split} split is empty")
        content = {"format": FORMAT, "outputs": outputs, "splits": {split: w.digest for split, w in writers.items()}}
        revision = "sha256:" + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        full = {
            **facts,
            "format": FORMAT,
            "name": recipe.name,
            "revision": revision,
            "outputs": outputs,
            "examples": {split: writer.count for split, writer in writers.items()},
            "bytes": {
                f"{split}.{ending}": size
                for split, writer in writers.items()
                for ending, size in zip(("pixels", "jsonl"), writer.sizes, strict=True)
            },
            "settings": dict(recipe.settings),
        }
        (directory / FACTS).write_text(json.dumps(full, ensure_ascii=False, indent=2, sort_keys=True) + "\n")
        settle(_directory(folder, revision))
    write_atomic(folder / f"{recipe.key}.json", json.dumps({"revision": revision}) + "\n")
    return PreparedImages(_directory(folder, revision))


@contextmanager
def _renamed(folder: Path) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """A temporary folder and what gives it its name, which its content decides."""
    named: list[Path] = []
    with atomic_directory(folder / "new") as directory:
        yield directory, named.append
    try:
        PreparedImages(named[0])
    except (OSError, ValueError, KeyError, TypeError):
        shutil.rmtree(named[0], ignore_errors=True)
        (folder / "new").replace(named[0])
    else:
        shutil.rmtree(folder / "new")


def _directory(folder: Path, revision: str) -> Path:
    return folder / revision.removeprefix("sha256:")[:16]
