"""Datasets of Hugging Face's library, from a folder or the hub. Rows are read; no code of a dataset ever runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from zoo.atomic import TEMPORARY_PREFIX
from zoo.errors import InputError, ZooError
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.hugging_face_sources import Opened, open_folder, open_hub, quiet
from zoo_tasks_text.corpora.library_options import HuggingFaceOptions
from zoo_tasks_text.corpora.pair_files import PairWriter, canonical, decode_pair

if TYPE_CHECKING:
    # Its numpy takes longer to import than `zoo data list` to answer.
    from zoo_tasks_text.corpora.separation import Source


VERSION = 2
"""Raise it with any change that gives other pairs from the same rows."""
_USUAL_NAMES: dict[Split, tuple[str, ...]] = {"dev": ("validation", "valid", "dev"), "test": ("test",)}
_REPORT = 10_000


class HuggingFaceCorpus(Corpus):
    """Pairs from a dataset's rows, stored in this package's own form. Rows without both texts are counted, not kept."""

    options: HuggingFaceOptions

    def find(self, home: DataHome) -> PreparedCorpus | None:
        return prepared.find(home, self._recipe())

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Raises InputError where a row is no pair, and ZooError naming alternatives where the hub cannot be had."""
        return self._prepare(home, progress, refresh=False)

    def refresh(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Ask the hub again for what `revision` names now."""
        return self._prepare(home, progress, refresh=self._folder is None)

    @property
    def _folder(self) -> Path | None:
        """Where the dataset lies; None where it is the hub's. Raises InputError for a path that is neither."""
        path = Path(self.options.path)
        if path.exists():
            return path
        if path.is_absolute() or self.options.path.startswith(".") or len(path.parts) > 2:
            raise InputError(
                "no such folder, and no OWNER/NAME of the hub either"
                + ("" if path.is_absolute() else f" (in the working directory, {Path.cwd()})"),
                where=self.options.path,
            )
        return None

    def _recipe(self) -> prepared.Recipe:
        """A folder is named by its files' names, sizes and times of change, wherever it lies."""
        settings = self.options.model_dump(mode="json")
        path = Path(self.options.path)
        if path.exists():
            settings["path"] = _fingerprint(path)
        return prepared.Recipe(self.options.name, {"version": VERSION, **settings})

    def _prepare(self, home: DataHome, progress: Progress, *, refresh: bool) -> PreparedCorpus:
        folder, recipe = self._folder, self._recipe()
        return prepared.prepare(home, recipe, lambda: self._build(home, recipe, folder, progress), refresh=refresh)

    def _build(
        self, home: DataHome, recipe: prepared.Recipe, folder: Path | None, progress: Progress
    ) -> prepared.StoredCorpus:
        from zoo_tasks_text.corpora.separation import separate

        options, place = self.options, home.corpora / recipe.name
        with TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=place, ignore_cleanup_errors=True) as temporary, quiet():
            opened = open_folder(folder) if folder else open_hub(options, home.downloads / "huggingface")
            names = self._split_names(opened)
            unusable: Counter[str] = Counter()
            sources: dict[Split, Source] = {
                split: _copied(self._pairs(opened, name, unusable, progress), Path(temporary) / f"{split}.jsonl")
                for split, name in names.items()
            }
            result = separate(
                sources,
                options.languages,
                dev=options.dev_fraction,
                test=options.test_fraction,
                salt=options.name,
                # Scores on a published split are compared only if every usable row of it is there.
                whole=frozenset(sources) - {"train"},
                progress=progress,
            )
            result.refuse_empty(
                options.name, f"of {options.path}", "choose another split of the dataset, or larger fractions"
            )
            facts = {
                "source": "huggingface datasets",
                "dataset": opened.facts,
                "splits": names,
                "dropped": {**dict(sorted(unusable.items())), **result.dropped},
                "kept": result.kept,
            }
            return prepared.store_stream(
                home,
                recipe,
                result.stream(progress),
                languages=options.languages,
                licence=options.licence or opened.licence or "unknown",
                facts=facts,
            )

    def _split_names(self, opened: Opened) -> dict[Split, str]:
        """The dataset's own name of each split that it has."""
        found: dict[Split, str] = {}
        for split in SPLITS:
            wanted: str | None = getattr(self.options, split)
            if wanted is None:
                wanted = next((name for name in _USUAL_NAMES[split] if name in opened.splits), None)
            elif wanted not in opened.splits:
                raise InputError(f"no split '{wanted}' (has {', '.join(opened.splits)})", where=self.options.path)
            if wanted is not None and wanted in found.values():
                raise InputError(f"split '{wanted}' is to be two splits at once", where=self.options.path)
            if wanted is not None:
                found[split] = wanted
        return found

    def _pairs(self, opened: Opened, name: str, unusable: Counter[str], progress: Progress) -> Iterator[Pair]:
        where = f"{self.options.path}[{name}]"
        columns, rows = opened.rows(name, where)
        fields = _Fields.chosen(self.options, columns, where)
        for number, row in enumerate(rows(fields.names)):
            pair = fields.pair(row, number, f"{where}:{number}")
            if pair is None:
                unusable["rows without both texts"] += 1
            else:
                yield pair
            if number % _REPORT == 0:
                progress(f"reading {name}", number, 0)


@dataclass(frozen=True)
class _Fields:
    """Where in a row a pair's parts stand."""

    languages: tuple[str, str]
    texts: tuple[str, str] | None
    """Columns of the two texts; None where one column maps languages to them."""
    translation: str
    document: str | None
    domain: str | None

    @classmethod
    def chosen(cls, options: HuggingFaceOptions, columns: list[str], where: str) -> _Fields:
        texts = options.columns
        if texts is None and options.translation not in columns:
            texts = options.languages
        fields = cls(options.languages, texts, options.translation, options.document, options.domain)
        for name in fields.names:
            if name not in columns:
                raise InputError(
                    f"no column '{name}' (has {', '.join(columns)}): name the text columns with the option 'columns'",
                    where=where,
                )
        return fields

    @property
    def names(self) -> list[str]:
        extra = [name for name in (self.document, self.domain) if name is not None]
        return [*(self.texts or [self.translation]), *extra]

    def pair(self, row: dict[str, Any], number: int, where: str) -> Pair | None:
        """None where a text is missing or empty. Raises InputError where a value has the wrong type."""
        texts = {}
        for index, language in enumerate(self.languages):
            column = self.texts[index] if self.texts else self.translation
            value = row[column]
            if self.texts is None:
                if not isinstance(value, dict) or language not in value:
                    keys = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
                    raise InputError(f"column '{column}' has no '{language}' (has {keys})", where=where)
                value = value[language]
            if value is not None and not isinstance(value, str):
                raise InputError(f"column '{column}' is {type(value).__name__}, expected text", where=where)
            text = (value or "").strip()
            if not text or "\0" in text:
                return None
            texts[language] = text
        return Pair(texts, self._label(row, self.document, where), number, self._label(row, self.domain, where))

    def _label(self, row: dict[str, Any], column: str | None, where: str) -> str | None:
        value = None if column is None else row[column]
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise InputError(f"column '{column}' is {type(value).__name__}, expected text or a number", where=where)
        return str(value).strip()


def _copied(pairs: Iterator[Pair], path: Path) -> Source:
    """A source that walks through a copy: rows that come over a network are asked for once."""
    with path.open("wb") as stream:
        writer = PairWriter(stream)
        for pair in pairs:
            writer.write(pair)

    def read() -> Iterator[Pair]:
        with path.open("rb") as stream:
            yield from map(decode_pair, stream)

    return read


def _fingerprint(path: Path) -> str:
    """Over the files' names, sizes and times of change: hashing a set larger than memory whenever it is looked for
    would take longer than reading it."""
    files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
    try:
        states = [
            [entry.relative_to(path).as_posix(), (state := entry.stat()).st_size, state.st_mtime_ns] for entry in files
        ]
    except OSError as error:
        raise ZooError(f"{path}: cannot be read: {error.strerror}") from error
    return "files:" + hashlib.sha256(canonical(states).encode()).hexdigest()
