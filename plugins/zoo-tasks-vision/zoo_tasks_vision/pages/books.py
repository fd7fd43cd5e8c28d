"""PDFs of Debian packages and own folders, grouped into documents, dealt to the splits."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import InputError, ZooError, did_you_mean
from zoo.tasks import DataHome, Split
from zoo.tasks.apt import AptError, read_members
from zoo.tasks.contracts import SPLITS, Progress
from zoo_tasks_vision.pages.options import PdfOptions
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

    @property
    def name(self) -> str:
        """Such as ``debmake-doc/debmake-doc.ja``."""
        folder = self.document.partition("/")[0]
        return f"{folder}/{self.path.stem}"


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
    return sorted(books.values(), key=lambda book: (book.name, book.digest)), {
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


def dealt(owners: Mapping[str, str], options: PdfOptions) -> dict[str, Split]:
    """The split of each document, given which document each belongs to. Raises InputError where there are too few."""
    documents = sorted(set(owners.values()), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    for name in (*options.dev, *options.test):
        if name not in owners:
            raise InputError(f"no document '{name}' among the PDFs: {did_you_mean(name, owners)}")
    asked: dict[str, Split] = {owners[name]: "dev" for name in options.dev}
    for name in options.test:
        if asked.setdefault(owners[name], "test") != "test":
            raise InputError(f"document '{name}' is given to dev and to test")
    free = [name for name in documents if name not in asked]
    wanted = max(1, round(options.held_out * len(documents)))
    for split in ("test", "dev"):
        if not getattr(options, split):
            asked.update(dict.fromkeys(free[:wanted], split))
            free = free[wanted:]
    if not free or not {"dev", "test"} <= set(asked.values()):
        raise InputError(
            f"{len(documents)} documents ({', '.join(sorted(documents)[:5])}) are too few for train, dev and test to "
            "have their own: add packages or folders"
        )
    return {name: asked.get(owner, "train") for name, owner in owners.items()}


def chosen_pages(count: int, most: int) -> list[int]:
    """At most `most` of pages 1 to `count`, spread evenly."""
    return list(range(1, count + 1)) if count <= most else [1 + place * count // most for place in range(most)]


def facts(splits: Mapping[Split, Sequence[Book]], versions: Mapping[str, str]) -> dict[str, object]:
    """What a reader asks for of the PDFs."""
    from zoo_tasks_vision.pages.poppler import fonts_of

    fonts = {split: sorted({name for book in splits[split] for name in fonts_of(book.path)}) for split in SPLITS}
    return {
        "packages": dict(versions),
        "documents": {split: sorted({book.document for book in splits[split]}) for split in SPLITS},
        "fonts": fonts,
        "fonts_of_train_in": {split: sorted(set(fonts[split]) & set(fonts["train"])) for split in ("dev", "test")},
    }
