"""PDFs of Debian packages and own folders, grouped into documents, dealt to the splits."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.errors import InputError, ZooError, did_you_mean
from zoo.tasks import DataHome, Split
from zoo.tasks.apt import AptError, read_members
from zoo.tasks.contracts import SPLITS, Progress
from zoo_tasks_vision.pages.options import PdfOptions
from zoo_tasks_vision.pages.typefaces import share_seen
from zoo_tasks_vision.unpacking import unpacked

_LARGEST = 2**27
"""Bytes of the largest PDF that is unpacked."""
_SMALLEST = 50_000
"""Bytes below which a package's PDF is a figure or a card and no book."""
_LANGUAGE = re.compile(r"[.-][a-z]{2}([_-][a-z]{2})?(?=$|\.)", re.IGNORECASE)
"""Of a file's or package's name: ``.zh-cn`` of ``guide.zh-cn.pdf``, ``-ja`` of ``maint-guide-ja``."""


@dataclass(frozen=True)
class Book:
    """One PDF."""

    path: Path
    document: str
    """What all its translations share."""
    digest: str
    shared: bool = False
    """Whether another book would have its name."""

    @property
    def name(self) -> str:
        """Such as ``debmake-doc/debmake-doc.ja``; of several that are called alike, with the beginning of the digest:
        ``developers-reference/developers-reference~1f3a09cc``."""
        folder = self.document.partition("/")[0]
        return f"{folder}/{self.path.stem}{f'~{self.digest[:8]}' if self.shared else ''}"


def document_of(folder: str, stem: str) -> str:
    """``maint-guide/maint-guide`` of package ``maint-guide-ja`` and file ``maint-guide.ja``."""
    return f"{_LANGUAGE.sub('', folder)}/{_LANGUAGE.sub('', stem)}"


def found_books(options: PdfOptions, home: DataHome, progress: Progress) -> tuple[list[Book], dict[str, str]]:
    """All PDFs, each content once, by name; and the versions of the packages.

    Raises InputError where there is none, ZooError where a package cannot be had.
    """
    packages = _packages(options.packages, home, progress) if options.packages else {}
    places: list[tuple[str, Path]] = []
    for name, (folder, _) in packages.items():
        places += [(name, path) for path in sorted(folder.glob("*.pdf"))]
    for given in options.folders:
        folder = Path(given).expanduser()
        if not folder.is_dir():
            raise InputError(f"no folder '{given}' of PDFs")
        places += [(path.parent.name or "files", path) for path in sorted(folder.rglob("*.pdf"))]
    books: dict[str, Book] = {}
    for folder_name, path in places:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        books.setdefault(digest, Book(path, document_of(folder_name, path.stem), digest))
    if not books:
        raise InputError("no PDFs: packages and folders have none")
    called = Counter(book.name for book in books.values())
    named = [replace(book, shared=called[book.name] > 1) for book in books.values()]
    return sorted(named, key=lambda book: (book.name, book.digest)), {
        name: version for name, (_, version) in packages.items()
    }


def _packages(names: Sequence[str], home: DataHome, progress: Progress) -> dict[str, tuple[Path, str]]:
    try:
        return unpacked(names, home.documents, home, progress, _unpack)
    except AptError as error:
        some = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
        raise ZooError(
            f"PDFs cannot be fetched: {error}. They are read from Debian's packages ({some}); without apt and its "
            "archive set packages to [] and name folders of your own PDFs, or use task 'generated-pages'"
        ) from error


def _unpack(package: Path, directory: Path, name: str) -> None:
    """The books of a .deb, without their folders."""
    count = 0
    for path, content in read_members(package, "./usr/share", (".pdf", ".pdf.gz"), limit=_LARGEST):
        if path.endswith(".gz"):
            try:
                with gzip.open(io.BytesIO(content)) as stream:
                    content = stream.read(_LARGEST + 1)
            except (OSError, EOFError, zlib.error) as error:
                raise ZooError(f"{package}: {path} cannot be unpacked: {error}") from error
            if len(content) > _LARGEST:
                raise ZooError(f"{package}: {path} unpacks to more than {_LARGEST} bytes")
        if len(content) >= _SMALLEST:
            (directory / Path(path.removesuffix(".gz")).name).write_bytes(content)
            count += 1
    if not count:
        raise ZooError(f"package {name} has no PDF of {_SMALLEST} bytes or more")


def merged(texts: Mapping[str, Set[str]]) -> dict[str, str]:
    """Which document each belongs to, by its lines: those that share half of the smaller one's are one document.

    So two editions of a book stand on one side, and two that have nothing in common but a third. The first name is that
    of all.
    """
    owner: dict[str, str] = {}
    for name in sorted(texts):
        groups = {owner[other] for other in owner if _alike(texts[name], texts[other])} | {name}
        first = min(groups)
        owner = {other: first if group in groups else group for other, group in owner.items()} | {name: first}
    return owner


def _alike(first: Set[str], second: Set[str]) -> bool:
    smaller = min(len(first), len(second))
    return smaller > 0 and 2 * len(first & second) >= smaller


def in_one_look(owners: Mapping[str, str], fonts: Mapping[str, Sequence[Set[str]]]) -> dict[str, str]:
    """Which group each document belongs to, given which document: those that are set in one family are one group.

    `fonts` are the families of each PDF of a document. Its own PDFs are together whatever they are set in.
    """
    group = {owner: owner for owner in owners.values()}
    first: dict[str, str] = {}
    for name in sorted(owners):
        for family in sorted(family for one in fonts.get(name, ()) for family in one):
            mine, other = group[owners[name]], group[first.setdefault(family, owners[name])]
            least = min(mine, other)
            group = {owner: least if found in (mine, other) else found for owner, found in group.items()}
    return {name: group[owner] for name, owner in owners.items()}


def dealt(owners: Mapping[str, str], options: PdfOptions) -> dict[str, Split]:
    """The split of each document, given which document or group each belongs to. Where groups are of one look, the one
    of the most documents is training's unless it is asked for. Raises InputError where there are too few."""
    sizes = Counter(owners.values())
    documents = sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    if options.held_out_fonts:
        documents.sort(key=lambda name: sizes[name] == max(sizes.values()))
    for name in (*options.dev, *options.test):
        if name not in owners:
            raise InputError(f"no document '{name}' among the PDFs: {did_you_mean(name, owners)}")
    asked: dict[str, Split] = {owners[name]: "dev" for name in options.dev}
    for name in options.test:
        if asked.setdefault(owners[name], "test") != "test":
            alike = " (with held_out_fonts, by those that share its fonts)" if options.held_out_fonts else ""
            raise InputError(f"document '{name}' is given to dev and to test{alike}")
    free = [name for name in documents if name not in asked]
    wanted = max(1, round(options.held_out * len(documents)))
    for split in ("test", "dev"):
        if not getattr(options, split):
            asked.update(dict.fromkeys(free[:wanted], split))
            free = free[wanted:]
    if not free or not {"dev", "test"} <= set(asked.values()):
        some = ", ".join(sorted(documents)[:5])
        if options.held_out_fonts:
            raise InputError(
                f"{len(owners)} documents are {len(documents)} of one look each ({some}), too few for train, dev and "
                "test to have their own fonts: add packages or folders, or set held_out_fonts to false"
            )
        raise InputError(
            f"{len(documents)} documents ({some}) are too few for train, dev and test to have their own: add packages "
            "or folders"
        )
    return {name: asked.get(owner, "train") for name, owner in owners.items()}


def chosen_pages(count: int, most: int) -> list[int]:
    """At most `most` of pages 1 to `count`, spread evenly."""
    return list(range(1, count + 1)) if count <= most else [1 + place * count // most for place in range(most)]


def facts(
    splits: Mapping[Split, Sequence[Book]], versions: Mapping[str, str], fonts: Mapping[Split, Mapping[str, int]]
) -> dict[str, object]:
    """What a reader asks for of the PDFs; `fonts` are families by how many lines they set."""
    train = fonts["train"].keys() - {""}
    return {
        "packages": dict(versions),
        "documents": {split: sorted({book.document for book in splits[split]}) for split in SPLITS},
        "fonts": {split: dict(sorted(fonts[split].items())) for split in SPLITS},
        "fonts_of_train_in": {split: sorted(fonts[split].keys() & train) for split in ("dev", "test")},
        "lines_in_fonts_of_train": {split: share_seen(fonts[split], train) for split in ("dev", "test")},
    }
