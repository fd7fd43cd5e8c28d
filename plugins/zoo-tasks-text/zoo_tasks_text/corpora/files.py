"""The user's own parallel text: TSV, JSON lines, or two files aligned line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import InputError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.json_rows import jsonl_pairs
from zoo_tasks_text.corpora.options import FilesOptions
from zoo_tasks_text.corpora.pair_fields import checked_text, pair_from_strings
from zoo_tasks_text.corpora.text_files import file_digest, lines

if TYPE_CHECKING:
    # Its numpy takes longer to import than `zoo data list` to answer.
    from zoo_tasks_text.corpora.separation import Source


VERSION = 3
"""Raise it with any change that gives other pairs from the same files."""


class FilesCorpus(Corpus):
    """Pairs from files. Texts are kept as they stand, but for white space at their ends. Given dev and test
    files keep all their lines.

    The files are read as streams, three times: for their hash, to decide what goes where, and to store it. Peak memory
    is that of `separation`: tens of bytes a pair.
    """

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
        digests = {
            split: [file_digest(Path(file)) for file in _listed(files)] for split, files in self._files().items()
        }
        settings = options.model_dump(mode="json", exclude={"train", "dev", "test"})
        return prepared.Recipe(options.name, {"version": VERSION, **settings, "files": digests})

    def _files(self) -> dict[Split, str | list[str]]:
        given = {split: getattr(self.options, split) for split in SPLITS}
        return {split: files for split, files in given.items() if files is not None}

    def _build(self, home: DataHome, recipe: prepared.Recipe, progress: Progress) -> prepared.StoredCorpus:
        from zoo_tasks_text.corpora.separation import separate

        options = self.options
        sources: dict[Split, Source] = {
            split: lambda files=files: pairs(files, options)  # type: ignore[misc]
            for split, files in self._files().items()
        }
        result = separate(
            sources,
            options.languages,
            dev=options.dev_fraction,
            test=options.test_fraction,
            salt=options.name,
            # Scores on a given set are compared only if every line of it is there.
            whole=frozenset(sources) - {"train"},
            progress=progress,
        )
        result.refuse_empty(
            options.name,
            f"in {' and '.join(_listed(options.train))}",
            "give more data, files for dev and test, or larger fractions",
        )
        return prepared.store_stream(
            home,
            recipe,
            result.stream(progress),
            languages=options.languages,
            licence=options.licence,
            facts={"source": "files", "dropped": result.dropped, "kept": result.kept},
        )


def _listed(files: str | list[str]) -> list[str]:
    return [files] if isinstance(files, str) else files


def pairs(files: str | list[str], options: FilesOptions) -> Iterator[Pair]:
    """The pairs of one split's files, one a line. Raises InputError with file and line."""
    form = options.form_of(files)
    if form == "text":
        return _text_pairs(Path(files[0]), Path(files[1]), options)
    path = Path(_listed(files)[0])
    return _tsv_pairs(path, options) if form == "tsv" else jsonl_pairs(path, options)


def _tsv_pairs(path: Path, options: FilesOptions) -> Iterator[Pair]:
    names = options.columns or options.languages
    for order, (where, line) in enumerate(lines(path)):
        columns = line.split("\t")
        if len(columns) != len(names):
            raise InputError(
                f"found {len(columns)} columns, expected {len(names)} ({' <tab> '.join(names)})", where=where
            )
        yield pair_from_strings(dict(zip(names, columns, strict=True)), options.languages, order, where)


def _text_pairs(left: Path, right: Path, options: FilesOptions) -> Iterator[Pair]:
    first, second = options.languages
    lefts, rights = lines(left), lines(right)
    for order, (left_where, one) in enumerate(lefts):
        right_where, other = next(rights, ("", None))
        if other is None:
            raise _unequal(left, order + 1 + sum(1 for _ in lefts), right, order)
        texts = {
            first: checked_text(one, left_where, "the line"),
            second: checked_text(other, right_where, "the line"),
        }
        yield Pair(texts, order=order)
    if rest := sum(1 for _ in rights):
        raise _unequal(left, order + 1, right, order + 1 + rest)


def _unequal(left: Path, lefts: int, right: Path, rights: int) -> InputError:
    longer = left if lefts > rights else right
    return InputError(
        f"the first line too many: {left} has {lefts} lines, {right} has {rights}, expected as many in both",
        where=f"{longer}:{min(lefts, rights) + 1}",
    )
