"""The user's own parallel text: TSV, JSON lines, or two files aligned line by line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.options import FilesOptions
from zoo_tasks_text.corpora.splits import by_document, separated

VERSION = 1
"""Raise it with any change that gives other pairs from the same files."""


class FilesCorpus(Corpus):
    """Pairs from files. Texts are kept as they stand, but for white space at their ends."""

    options: FilesOptions

    def find(self, home: DataHome) -> PreparedCorpus | None:
        try:
            return prepared.find(home, self._recipe())
        except InputError:
            return None

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Raises InputError with file and line where a file is not what its form asks for."""
        recipe = self._recipe()
        return prepared.prepare(home, recipe, lambda: self._build(home, recipe, progress))

    def _recipe(self) -> prepared.Recipe:
        """Names the files by their content: the same data under another path is the same corpus."""
        options = self.options
        digests = {}
        for split in ("train", "dev", "test"):
            files = getattr(options, split)
            if files is not None:
                digests[split] = [_digest(Path(file)) for file in _listed(files)]
        settings = options.model_dump(mode="json", exclude={"train", "dev", "test"})
        return prepared.Recipe(options.name, {"version": VERSION, **settings, "files": digests})

    def _build(self, home: DataHome, recipe: prepared.Recipe, progress: Progress) -> prepared.StoredCorpus:
        options = self.options
        progress("read files", 0, 0)
        given: dict[Split, list[Pair]] = {"train": list(_pairs(options.train, options)), "dev": [], "test": []}
        # A share is taken off the training data for each split that has no file of its own.
        parts = by_document(
            given["train"],
            dev=0.0 if options.dev is not None else options.dev_fraction,
            test=0.0 if options.test is not None else options.test_fraction,
            salt=options.name,
        )
        if options.dev is not None:
            parts["dev"] = list(_pairs(options.dev, options))
        if options.test is not None:
            parts["test"] = list(_pairs(options.test, options))
        result = separated(parts["train"], parts["dev"], parts["test"])
        for split, pairs in result.splits.items():
            if not pairs:
                raise InputError(
                    f"corpus {options.name}: {len(given['train'])} pairs in {' and '.join(_listed(options.train))} "
                    f"leave the {split} split empty: give more data, files for dev and test, or larger fractions"
                )
        facts = {"source": "files", "dropped": result.dropped}
        return prepared.store(
            home, recipe, result.splits, languages=options.languages, licence=options.licence, facts=facts
        )


def _listed(files: str | list[str]) -> list[str]:
    return [files] if isinstance(files, str) else files


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        place = "" if path.is_absolute() else f" (in the working directory, {Path.cwd()})"
        raise InputError(f"cannot be read: {error.strerror}{place}", where=str(path)) from error


def _pairs(files: str | list[str], options: FilesOptions) -> Iterator[Pair]:
    form = options.form_of(files)
    if form == "text":
        return _text_pairs(Path(files[0]), Path(files[1]), options)
    path = Path(_listed(files)[0])
    return _tsv_pairs(path, options) if form == "tsv" else _jsonl_pairs(path, options)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """(``file:line``, text) for each line. Raises InputError at a line that is not UTF-8."""
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            where = f"{path}:{number}"
            try:
                # Only \n ends a line: U+2028, form feeds and the like are part of a text.
                yield where, raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"byte {error.start + 1} (0x{raw[error.start]:02x}) is not UTF-8: convert the file to UTF-8",
                    where=where,
                ) from error


def _text(value: str, where: str, what: str) -> str:
    text = value.strip()
    if not text:
        raise InputError(f"{what} is empty", where=where)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"{what} holds half of a surrogate pair, which is not a character", where=where)
    return text


def _tsv_pairs(path: Path, options: FilesOptions) -> Iterator[Pair]:
    first, second = options.languages
    for order, (where, line) in enumerate(_lines(path)):
        columns = line.split("\t")
        if len(columns) != 2:
            raise InputError(f"found {len(columns)} columns, expected 2 ({first} <tab> {second})", where=where)
        yield Pair(
            {
                first: _text(columns[0], where, f"the {first} column"),
                second: _text(columns[1], where, f"the {second} column"),
            },
            order=order,
        )


def _text_pairs(left: Path, right: Path, options: FilesOptions) -> Iterator[Pair]:
    first, second = options.languages
    lefts, rights = list(_lines(left)), list(_lines(right))
    if len(lefts) != len(rights):
        shorter = left if len(lefts) < len(rights) else right
        raise InputError(
            f"{left} has {len(lefts)} lines, {right} has {len(rights)}: expected as many in both",
            where=f"{shorter}:{min(len(lefts), len(rights)) + 1}",
        )
    for order, ((left_where, one), (right_where, other)) in enumerate(zip(lefts, rights, strict=True)):
        yield Pair(
            {first: _text(one, left_where, "the line"), second: _text(other, right_where, "the line")}, order=order
        )


def _jsonl_pairs(path: Path, options: FilesOptions) -> Iterator[Pair]:
    fields = options.fields or options.languages
    for order, (where, line) in enumerate(_lines(path)):
        try:
            row: Any = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not a JSON object: {error}", where=where) from error
        if not isinstance(row, dict):
            raise InputError(f"expected a JSON object, found {type(row).__name__}", where=where)
        texts = {}
        for language, field in zip(options.languages, fields, strict=True):
            if field not in row:
                raise InputError(f"no field '{field}' (has {', '.join(map(str, row)) or 'none'})", where=where)
            if not isinstance(row[field], str):
                raise InputError(f"field '{field}' is {type(row[field]).__name__}, expected a string", where=where)
            texts[language] = _text(row[field], where, f"field '{field}'")
        document = row.get(options.document_field)
        if document is not None and not isinstance(document, str | int):
            raise InputError(f"field '{options.document_field}' is no document id: expected a string", where=where)
        yield Pair(
            texts, document=None if document is None else _text(str(document), where, "the document id"), order=order
        )
