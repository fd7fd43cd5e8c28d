"""Font files: of Debian packages, of the machine, of the user's folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import InputError, ZooError, did_you_mean
from zoo.tasks import DataHome
from zoo.tasks.apt import AptError, read_members
from zoo.tasks.contracts import Progress
from zoo_tasks_vision.fonts.faces import ENDINGS, Face, faces_of
from zoo_tasks_vision.fonts.options import FontOptions
from zoo_tasks_vision.unpacking import unpacked

SYSTEM_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
)
_LARGEST_FONT = 2**26
"""Bytes of the largest font file that is unpacked: those of all ideographs have 20 million."""
_REFUSED_FAMILIES = frozenset({"humor sans", "humor-sans"})


@dataclass(frozen=True)
class Found:
    """Faces that may be drawn with, and where they come from."""

    faces: tuple[Face, ...]
    packages: Mapping[str, str]
    """Version by package."""


def found_faces(options: FontOptions, home: DataHome, progress: Progress) -> Found:
    """All faces that the options name, each once, in an order that their names decide.

    Raises InputError where none is there, or a family that is asked for is not; ZooError where a package cannot be had.
    """
    packages = _packages(options.packages, home, progress) if options.packages else {}
    folders = [folder for folder, _ in packages.values()]
    for name in options.folders:
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise InputError(f"fonts: no folder '{name}'")
        folders.append(folder)
    if options.system:
        folders += [folder for name in SYSTEM_FOLDERS if (folder := Path(name).expanduser()).is_dir()]
    faces = _faces_below(folders)
    known = {face.family for face in faces}
    for family in (*options.families, *options.exclude, *options.dev, *options.test):
        if family not in known:
            raise InputError(f"fonts: no family '{family}' is among those found: {did_you_mean(family, sorted(known))}")
    wanted = [
        face
        for face in faces
        if (not options.families or face.family in options.families)
        and face.family not in options.exclude
        and face.family.lower() not in _REFUSED_FAMILIES
    ]
    if not wanted:
        where = ", ".join([*options.packages, *options.folders, *(["the machine"] if options.system else [])])
        raise InputError(
            f"fonts: none found in {where or 'nothing: packages, folders and system are all empty'}: expected "
            f"{', '.join(ENDINGS)} files"
        )
    return Found(tuple(wanted), {name: version for name, (_, version) in packages.items()})


def _faces_below(folders: Iterable[Path]) -> list[Face]:
    """By family and style; of several that have both alike, the one whose file comes first by its digest."""
    files = sorted({path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in ENDINGS})
    faces = [face for path in files if path.is_file() for face in faces_of(path)]
    faces.sort(key=lambda face: (face.family, face.style, face.digest, face.index))
    return list({(face.family, face.style): face for face in reversed(faces)}.values())[::-1]


def _packages(names: Sequence[str], home: DataHome, progress: Progress) -> dict[str, tuple[Path, str]]:
    try:
        return unpacked(names, home.fonts, home, progress, _unpack)
    except AptError as error:
        raise ZooError(
            f"fonts cannot be fetched: {error}. They are read from Debian's packages ({', '.join(names)}); without apt "
            "and its archive set fonts to {packages: [], folders: [...]}, or {packages: [], system: true}"
        ) from error


def _unpack(package: Path, directory: Path, name: str) -> None:
    """The font files of a .deb, without their folders."""
    count = 0
    for path, content in read_members(package, "./usr/share/fonts", ENDINGS, limit=_LARGEST_FONT):
        (directory / Path(path).name).write_bytes(content)
        count += 1
    if not count:
        raise ZooError(f"package {name} has no {', '.join(ENDINGS)} file below /usr/share/fonts")
