"""Recognition of the text of a user's own images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import InputError, visible
from zoo.images.files import ImageFile
from zoo_tasks_vision.bands import band
from zoo_tasks_vision.tasks.file_options import ImageTextFilesOptions
from zoo_tasks_vision.tasks.own_files import Entry, OwnFilesTask


class ImageTextFiles(OwnFilesTask):
    """Images and a TSV file of their names, texts and documents."""

    options: ImageTextFilesOptions
    outputs = "text"

    def entries(self, path: Path, folder: Path) -> tuple[Sequence[Entry], Mapping[str, Any]]:
        name = visible(str(path))
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=name) from error
        found = []
        for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
            where = f"{name}:{number}"
            try:
                line = raw.removesuffix(b"\r").decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"byte {error.start + 1} is not UTF-8: convert the file to UTF-8", where=where
                ) from None
            if line.strip():
                found.append(_entry(line, where, folder))
        if not found:
            raise InputError("the file has no lines, expected an image's name, a tab and its text in each", where=name)
        return found, {}

    def row(self, entry: Entry, image: ImageFile) -> Mapping[str, Any]:
        strata = {
            "aspect": band(self.options.aspects, image.width / image.height),
            "height": band(self.options.heights, image.height),
            "content": "text" if entry.content["target"] else "blank",
        }
        return {**entry.content, "strata": strata}


def _entry(line: str, where: str, folder: Path) -> Entry:
    fields = line.split("\t")
    if len(fields) not in {2, 3}:
        raise InputError(
            f"{len(fields)} fields, expected 2 or 3 with tabs between: image, text, and document if any",
            where=where,
        )
    if not fields[0].strip() or "\0" in fields[0]:
        raise InputError("the first field is no file's name", where=where)
    document = fields[2].strip() if len(fields) == 3 else ""
    return Entry(where, fields[0], folder / fields[0], document or None, {"target": " ".join(fields[1].split())})
