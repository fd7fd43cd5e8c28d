"""Font files: of Debian packages, of the machine, of the user's folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.atomic import atomic_directory, locked, write_atomic
from zoo.errors import InputError, ZooError, did_you_mean
from zoo.tasks import DataHome
from zoo.tasks.apt import Apt, AptError, read_members
from zoo.tasks.contracts import Progress
from zoo_tasks_vision.fonts.faces import ENDINGS, Face, faces_of
from zoo_tasks_vision.fonts.options import FontOptions

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
    packages = unpacked(options.packages, home, progress) if options.packages else {}
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


def unpacked(names: Sequence[str], home: DataHome, progress: Progress) -> dict[str, tuple[Path, str]]:
    """The folder and version of each package: what an earlier call unpacked, whatever version there is by now."""
    found = {name: place for name in names if (place := _unpacked(home, name)) is not None}
    missing = [name for name in names if name not in found]
    if missing:
        try:
            packages = Apt(home.downloads / "debian", progress).fetch(missing)
        except AptError as error:
            raise ZooError(
                f"fonts cannot be fetched: {error}. They are read from Debian's packages ({', '.join(missing)}); "
                "without apt and its archive set fonts to {packages: [], folders: [...]}, or {packages: [], "
                "system: true}"
            ) from error
        with locked(home.fonts / ".lock"):
            for name, (package, path) in packages.items():
                folder = home.fonts / f"{name}_{package.version.replace(':', '%3a')}"
                with atomic_directory(folder) as directory:
                    _unpack(path, directory, name)
                write_atomic(home.fonts / f"{name}.json", json.dumps({"version": package.version}) + "\n")
                found[name] = (folder, package.version)
    return {name: found[name] for name in names}


def _unpacked(home: DataHome, name: str) -> tuple[Path, str] | None:
    try:
        version = json.loads((home.fonts / f"{name}.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    folder = home.fonts / f"{name}_{version.replace(':', '%3a')}"
    return (folder, version) if folder.is_dir() else None


def _unpack(package: Path, directory: Path, name: str) -> None:
    """The font files of a .deb and its statement of copyright, without their folders."""
    count = 0
    for path, content in read_members(package, "./usr/share/fonts", ENDINGS, limit=_LARGEST_FONT):
        (directory / Path(path).name).write_bytes(content)
        count += 1
    if not count:
        raise ZooError(f"package {name} has no {', '.join(ENDINGS)} file below /usr/share/fonts")
    for _, content in read_members(package, f"./usr/share/doc/{name}", "copyright"):
        (directory / "copyright").write_bytes(content)
