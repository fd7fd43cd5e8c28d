"""sacrebleu's test sets, with training data from another corpus."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.atomic import atomic_directory, locked, swept, write_atomic
from zoo.errors import InputError, ZooError, did_you_mean
from zoo.tasks import Corpus, DataHome, Pair, PreparedCorpus, Split
from zoo.tasks.contracts import Progress, silent
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.library_options import SacrebleuOptions

if TYPE_CHECKING:
    # Its numpy takes longer to import than `zoo data list` to answer.
    from zoo_tasks_text.corpora.separation import Source


VERSION = 2
"""Raise it with any change that gives other pairs from the same sets."""
_PATIENCE = 60.0
"""Seconds without a byte after which a download is given up."""


class SacrebleuCorpus(Corpus):
    """A published test set as it is, all segments in their order; training pairs that it holds are left out."""

    options: SacrebleuOptions

    def find(self, home: DataHome) -> PreparedCorpus | None:
        train = self.options.train.create().find(home)
        return None if train is None else prepared.find(home, self._recipe(train))

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedCorpus:
        """Raises InputError for a set or a language pair that sacrebleu lacks, ZooError where it cannot be fetched."""
        options = self.options
        for name in self._sets.values():
            _dataset(name, options.languages)
        train: PreparedCorpus = options.train.create().prepare(home, progress)
        for language in options.languages:
            if language not in train.languages:
                raise InputError(
                    f"language '{language}' is not in corpus {train.name} (has {', '.join(train.languages)})"
                )
        recipe = self._recipe(train)
        return prepared.prepare(home, recipe, lambda: self._build(home, recipe, train, progress))

    @property
    def _sets(self) -> dict[Split, str]:
        named: dict[Split, str | None] = {"dev": self.options.dev, "test": self.options.test}
        return {split: name for split, name in named.items() if name is not None}

    def _recipe(self, train: PreparedCorpus) -> prepared.Recipe:
        settings = self.options.model_dump(mode="json", exclude={"train"})
        return prepared.Recipe(self.options.name, {"version": VERSION, **settings, "train": train.revision})

    def _build(
        self, home: DataHome, recipe: prepared.Recipe, train: PreparedCorpus, progress: Progress
    ) -> prepared.StoredCorpus:
        from zoo_tasks_text.corpora.separation import separate

        options = self.options
        sources: dict[Split, Source] = {"train": lambda: self._of_corpus(train, "train")}
        sources["dev"] = lambda: self._of_corpus(train, "dev")
        published, empty = {}, 0
        for split, name in self._sets.items():
            progress(f"fetching {name}", 0, 0)
            pairs, lost = read_set(home, name, options.languages)
            sources[split] = lambda pairs=pairs: iter(pairs)  # type: ignore[misc]
            published[split] = {"name": name, "segments": len(pairs), "description": _described(name)}
            empty += lost
        # Scores on a published set are compared only if every segment of it is there, so nothing is taken from it.
        result = separate(
            sources, options.languages, dev=0, test=0, salt="", whole=frozenset({"test"}), progress=progress
        )
        return prepared.store_stream(
            home,
            recipe,
            result.stream(progress),
            languages=options.languages,
            licence=f"{train.licence}; {', '.join(self._sets.values())}: see the set's own description",
            facts={
                "source": "sacrebleu",
                "sets": published,
                "train": {"name": train.name, "revision": train.revision, "licence": train.licence},
                "dropped": {"segments without source or reference": empty, **result.dropped},
                "kept": result.kept,
            },
        )

    def _of_corpus(self, corpus: PreparedCorpus, split: Split) -> Iterator[Pair]:
        for pair in corpus.pairs(split):
            yield replace(pair, texts={language: pair.texts[language] for language in self.options.languages})


def read_set(home: DataHome, name: str, languages: tuple[str, str]) -> tuple[list[Pair], int]:
    """The pairs of a set against its first reference, and how many segments lack a side. Fetched once."""
    langpair = "-".join(languages)
    folder = home.downloads / "sacrebleu" / f"{name.replace('/', '_')}.{langpair}"
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not folder.is_dir():
            with swept(folder.parent), atomic_directory(folder) as temporary:
                _fetch(name, languages, temporary)
    columns = {
        field: (folder / field).read_bytes().decode().split("\n")[:-1]
        for field in ("source", "reference", "document", "domain")
        if (folder / field).is_file()
    }
    if len({len(found) for found in columns.values()}) != 1:
        raise ZooError(
            f"{folder}: the parts of test set '{name}' differ in length: delete the folder to fetch it again"
        )
    pairs, lost = [], 0
    nothing = [""] * len(columns["source"])
    documents, domains = columns.get("document", nothing), columns.get("domain", nothing)
    for order, (source, reference) in enumerate(zip(columns["source"], columns["reference"], strict=True)):
        if not source.strip() or not reference.strip():
            lost += 1
            continue
        texts = {languages[0]: source.strip(), languages[1]: reference.strip()}
        # With the set's name: a document of the training data may be called the same.
        document = f"{name}/{documents[order]}" if documents[order] else None
        pairs.append(Pair(texts, document, order, domains[order] or None))
    return pairs, lost


def _dataset(name: str, languages: tuple[str, str]) -> Any:
    """sacrebleu's own description of a set. Raises InputError where it has none for these languages."""
    from sacrebleu.dataset import DATASETS

    if name not in DATASETS:
        raise InputError(f"sacrebleu has no test set '{name}': {did_you_mean(name, DATASETS)}")
    pairs = DATASETS[name].langpairs
    if "-".join(languages) not in pairs:
        raise InputError(f"test set '{name}' has no {'-'.join(languages)} (has {', '.join(sorted(pairs))})")
    return DATASETS[name]


def _described(name: str) -> str:
    from sacrebleu.dataset import DATASETS

    return " ".join((DATASETS[name].description or "").split())


def _fetch(name: str, languages: tuple[str, str], folder: Path) -> None:
    """Download a set through sacrebleu and leave its columns in `folder`, one line a segment."""
    langpair = "-".join(languages)
    # A copy that works inside our folder: in sacrebleu's own cache, what a kill cut off would count as there.
    dataset = copy.copy(_dataset(name, languages))
    original = dataset._rawdir
    dataset._outdir, dataset._rawdir = str(folder / "set"), str(folder / "set" / "raw")
    try:
        with _bounded():
            _reuse(dataset, Path(original))
            fields = dict(zip(dataset.fieldnames(langpair), dataset.get_files(langpair), strict=True))
            chosen = {
                "source": dataset.get_source_file(langpair),
                "reference": dataset.get_reference_files(langpair)[0],
                "document": fields.get("docid"),
                "domain": fields.get("domain") or fields.get("genre"),
            }
    except (Exception, SystemExit) as error:  # sacrebleu ends the process where a hash is wrong
        reason = (
            "its hash is not the one sacrebleu knows" if isinstance(error, SystemExit) else " ".join(str(error).split())
        )
        raise ZooError(
            f"test set '{name}' cannot be fetched: {reason or type(error).__name__}. It comes from "
            f"{', '.join(dataset.data)}; corpora that are prepared stay usable, and corpus 'parallel-files' takes a "
            "test set of your own"
        ) from error
    for field, path in chosen.items():
        if path is not None:
            # Some sets end lines in \r\n; nothing but \n is to end one here.
            with open(path, encoding="utf-8", newline="\n") as stream:
                text = "".join(line.rstrip("\r\n").replace("\r", " ") + "\n" for line in stream)
            write_atomic(folder / field, text)
    shutil.rmtree(folder / "set")


def _reuse(dataset: Any, cache: Path) -> None:
    """Take what sacrebleu itself has downloaded before, where its hash is right."""
    from sacrebleu.utils import extract_tarball

    for url, expected in zip(dataset.data, dataset.md5 or [], strict=False):
        archive = cache / dataset._get_tarball_filename(url)
        if archive.is_file():
            with archive.open("rb") as stream:
                right = hashlib.file_digest(stream, "md5").hexdigest() == expected
            if right:
                os.makedirs(dataset._rawdir, exist_ok=True)
                copied = shutil.copy(archive, dataset._rawdir)
                extract_tarball(copied, dataset._rawdir)  # type: ignore[no-untyped-call]


@contextmanager
def _bounded() -> Iterator[None]:
    """Downloads that do not wait for ever, and say nothing."""
    logger = logging.getLogger("sacrebleu")
    before, level = socket.getdefaulttimeout(), logger.level
    try:
        socket.setdefaulttimeout(_PATIENCE)
        logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        socket.setdefaulttimeout(before)
        logger.setLevel(level)
