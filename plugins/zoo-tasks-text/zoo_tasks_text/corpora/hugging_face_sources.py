"""Opening Hugging Face datasets quietly, from a folder or the hub, by readers that run nobody's code."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import InputError, ZooError
from zoo_tasks_text.corpora.library_options import HuggingFaceOptions

_READERS: dict[str, tuple[str, dict[str, str]]] = {
    ".parquet": ("parquet", {}),
    ".jsonl": ("json", {}),
    ".ndjson": ("json", {}),
    ".json": ("json", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"sep": "\t"}),
    ".arrow": ("arrow", {}),
}
"""File ending -> reader of the library and its options. Pickles have none."""
_PACKED = (".gz", ".bz2", ".xz", ".zst")
_SAVED = ("dataset_dict.json", "state.json")
"""What save_to_disk leaves: a dictionary of splits, or one split."""
_SPLIT = re.compile(r"(?<![a-z0-9])(train|training|validation|valid|val|dev|test|testing)(?![a-z0-9])")
_PLAIN = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}
_PATIENCE = 20
"""Seconds that the hub has for its first answer."""

Rows = Callable[[list[str]], Iterator[dict[str, Any]]]


@dataclass(frozen=True)
class Opened:
    """A dataset whose rows have not been read yet."""

    splits: Mapping[str, Any]
    licence: str | None
    facts: Mapping[str, Any]

    def rows(self, split: str, where: str) -> tuple[list[str], Rows]:
        """The columns of a split, and its rows cut down to some of them. Raises InputError where they break off."""
        dataset = self.splits[split]
        with _one_line(where):
            columns = dataset.column_names
            if columns is None:  # a stream tells its columns with its first row
                columns = list(next(iter(dataset), {}))

        def read(names: list[str]) -> Iterator[dict[str, Any]]:
            with _one_line(where):
                yield from dataset.select_columns(names)

        return list(columns), read


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, logs or warnings of the library, and all of them as they were afterwards."""
    datasets = _library()
    from huggingface_hub import utils as hub

    libraries: list[Any] = [library for library in (datasets, hub) if not library.are_progress_bars_disabled()]
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub", "fsspec")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for library in libraries:
                library.disable_progress_bars()
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for library in libraries:
            library.enable_progress_bars()


def open_folder(path: Path) -> Opened:
    """A folder made by save_to_disk, or files whose names tell their splits. Raises InputError where it is neither."""
    datasets = _library()
    with _one_line(str(path)):
        if any((path / name).is_file() for name in _SAVED):
            saved = datasets.load_from_disk(str(path))
            splits = dict(saved) if isinstance(saved, dict) else {str(saved.split or "train"): saved}
        else:
            splits = _open_files(path)
    licence = next((dataset.info.license for dataset in splits.values() if dataset.info.license), None)
    return Opened(splits, licence, {"path": path.name, "splits": sorted(splits)})


def _open_files(path: Path) -> dict[str, Any]:
    files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
    known = [file for file in files if _ending(file) in _READERS]
    endings = sorted({_ending(file) for file in known})
    if not known:
        seen = ", ".join(sorted({file.suffix or file.name for file in files})[:8]) or "nothing"
        raise InputError(
            f"holds {seen}, expected what save_to_disk made, or files that end in {', '.join(_READERS)} (pickles are "
            "never read)",
            where=str(path),
        )
    if any(_READERS[ending] != _READERS[endings[0]] for ending in endings):
        raise InputError(f"holds files that end in {' and '.join(endings)}, expected one kind", where=str(path))
    reader, settings = _READERS[endings[0]]
    found: dict[str, list[str]] = {}
    for file in known:
        if not file.stat().st_size:
            raise InputError("the file is empty", where=str(file))
        name = file.relative_to(path).as_posix().lower() if path.is_dir() else ""
        match = _SPLIT.search(name)
        split = _PLAIN.get(match[1], match[1]) if match else "train"
        found.setdefault(split, []).append(str(file.resolve()))
    # As a stream: otherwise the library would first copy everything into its own cache.
    return dict(_library().load_dataset(reader, data_files=found, streaming=True, **settings))


def _ending(file: Path) -> str:
    """The ending that tells the reader: the one before that of a compressed file."""
    name = file.with_suffix("") if file.suffix.lower() in _PACKED else file
    return name.suffix.lower()


def open_hub(options: HuggingFaceOptions, cache: Path) -> Opened:
    """A dataset of the hub, at the commit that its revision names today. Raises ZooError where it cannot be had."""
    from huggingface_hub import HfApi

    datasets = _library()
    place = f"dataset {options.path}"
    try:
        info = HfApi().dataset_info(options.path, revision=options.revision, timeout=_PATIENCE)
        splits = datasets.load_dataset(
            options.path,
            options.config,
            revision=info.sha,
            streaming=options.streaming,
            **({} if options.streaming else {"cache_dir": str(cache)}),
        )
    except ZooError:
        raise
    except Exception as error:  # of the library, the hub's client, or whichever HTTP client that uses
        raise ZooError(
            f"{place} cannot be had from the hub: {_short(error)}. Without it, give 'path' a folder on this machine "
            "(made by save_to_disk, or with parquet, jsonl or csv files), or use corpus 'parallel-files'"
        ) from error
    licence = getattr(info.card_data, "license", None)
    facts = {"hub": options.path, "config": options.config, "commit": info.sha, "splits": sorted(splits)}
    return Opened(dict(splits), licence if isinstance(licence, str) else None, facts)


def _library() -> Any:
    try:
        import datasets  # type: ignore[import-untyped]
    except ImportError as error:
        raise ZooError(
            "corpus 'hf-dataset' needs the package datasets: pip install 'zoo-tasks-text[datasets]'"
        ) from error
    return datasets


@contextmanager
def _one_line(where: str) -> Iterator[None]:
    """Whatever the library says of data that it cannot read, as one line."""
    try:
        yield
    except (ZooError, GeneratorExit):
        raise
    except StopIteration as error:
        raise InputError("holds no rows: a file of it is empty", where=where) from error
    except Exception as error:  # of the library, pyarrow, or pandas
        raise InputError(f"cannot be read as a dataset: {_short(error)}", where=where) from error


def _short(error: BaseException) -> str:
    """The innermost reason: the library wraps what happened in 'an error occurred'."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return (text[:300] + " ...") if len(text) > 300 else text or type(error).__name__
