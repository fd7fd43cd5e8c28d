"""A pretrained model on disk or on the Hugging Face hub: its configuration, its weights' files and its content hash."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.spec.pretrained.fields import Fields

CONFIG, GENERATION = "config.json", "generation_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONVERT = (
    'convert it once, where you trust it: python -c "from transformers import AutoModelForSeq2SeqLM as M; '
    "M.from_pretrained('{name}').save_pretrained('FOLDER', safe_serialization=True)\""
)


class Checkpoint:
    """Files are looked for when they are asked for, each method raising InputError in one line where one is absent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._folder = Path(name).expanduser()
        self.local = self._folder.is_dir()
        if not self.local and (self._folder.exists() or not _HUB_NAME.fullmatch(name)):
            raise InputError("no such folder; expected one with a pretrained model, or its name on the hub", where=name)

    @property
    def folder(self) -> Path | None:
        """Where it stands; None for a model on the hub."""
        return self._folder if self.local else None

    def config(self) -> Fields:
        """config.json."""
        return Fields(self.document(CONFIG), f"{self.name}: {CONFIG}")

    def generation(self) -> Fields:
        """generation_config.json; older checkpoints have what is in it in config.json."""
        found = self.document(GENERATION) if self.has(GENERATION) else self.document(CONFIG)
        return Fields(found, f"{self.name}: {GENERATION if self.has(GENERATION) else CONFIG}")

    def weights(self) -> list[Path]:
        """The safetensors files, fetched if need be. Raises InputError for a checkpoint that has pickles alone."""
        return [self.file(name) for name in self._weight_names()]

    def tokenizer_source(self) -> str:
        """What transformers loads the tokenizer from."""
        return str(self._folder) if self.local else self.name

    def file(self, name: str) -> Path:
        """One file of the checkpoint."""
        if self.local:
            path = self._folder / name
            if not path.is_file():
                raise InputError(f"no {name} there: not the folder of a pretrained model", where=self.name)
            return path
        fetched = _fetched(self.name, name)
        if fetched is None:
            raise InputError(f"no {name} there: not a pretrained model", where=f"{self.name} (hub)")
        return fetched

    def revision(self) -> str:
        """``sha256:<hex>`` over configuration and weights: a copy of a checkpoint has that of the checkpoint."""
        names = [CONFIG, *([GENERATION] if self.has(GENERATION) else []), *self._weight_names()]
        content = {name: self._digest(name) for name in names}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def _weight_names(self) -> list[str]:
        if self.has(WEIGHTS):
            return [WEIGHTS]
        if self.has(INDEX):
            shards = self.document(INDEX).get("weight_map")
            if not isinstance(shards, dict) or not shards:
                raise InputError(f"{INDEX} names no weights", where=self.name)
            names = sorted({str(name) for name in shards.values()})
            if any("/" in name or "\\" in name or not name.endswith(".safetensors") for name in names):
                raise InputError(f"{INDEX} names a file that is not one of this folder's safetensors", where=self.name)
            return names
        pickles = sorted(path.name for path in self._folder.glob("*") if path.suffix in _PICKLES) if self.local else []
        found = f"has its weights as the pickle {pickles[0]} alone" if pickles else f"has no {WEIGHTS}"
        raise InputError(
            f"{found}; pickles can run code when loaded, so only safetensors are read: "
            f"{_CONVERT.format(name=self.name)}",
            where=self.name,
        )

    def has(self, name: str) -> bool:
        """Whether the checkpoint has the file."""
        if self.local:
            return (self._folder / name).is_file()
        return _fetched(self.name, name) is not None

    def document(self, name: str) -> dict[str, Any]:
        """A file of the checkpoint that holds a JSON object."""
        try:
            found = json.loads(self.file(name).read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name} is no JSON ({str(error)[:80]})", where=self.name) from None
        if not isinstance(found, dict):
            raise InputError(f"{name}: expected a JSON object", where=self.name)
        return found

    def _digest(self, name: str) -> str:
        path = self.file(name)
        # The hub's cache keeps large files under their own SHA-256: a link names the content.
        target = path.resolve()
        if not self.local and _SHA256.fullmatch(target.name):
            return target.name
        status = target.stat()
        return _sha256(target, status.st_mtime_ns, status.st_size)


def find_checkpoint(name: str) -> Checkpoint:
    """The checkpoint of that name: a folder, where there is one, else a name on the hub."""
    return Checkpoint(name)


@lru_cache(maxsize=64)
def _sha256(path: Path, changed: int, size: int) -> str:
    """Once a process for each state of the file: a grid resolves many specs over one checkpoint."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=256)
def _fetched(repository: str, name: str) -> Path | None:
    """A file of a model on the hub, from the hub's own cache where it is there; None where the model has none.

    The hub is asked once a process: each answer takes a while, and a grid resolves many specs over one checkpoint.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    # Its retries are told of line by line; what came of them is told below.
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return Path(hf_hub_download(repository, name))
    except (RepositoryNotFoundError, HFValidationError):
        raise InputError("no such folder, and the hub has no model of this name", where=repository) from None
    except EntryNotFoundError as error:
        if not isinstance(error, LocalEntryNotFoundError) or _known_absent(repository, name):
            return None
        raise InputError(
            "no such folder, and the Hugging Face hub cannot be reached: no model of this name is in its cache",
            where=repository,
        ) from None
    finally:
        logger.setLevel(level)


def _known_absent(repository: str, name: str) -> bool:
    """Whether the cache holds the model's configuration but not this file: without a network, that is all there is."""
    from huggingface_hub import try_to_load_from_cache

    return name != CONFIG and isinstance(try_to_load_from_cache(repository, CONFIG), str)
