"""COMET by unbabel-comet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.tasks import Items
from zoo_tasks_text.metrics.corpus import Resampling, Statistics, check_lengths
from zoo_tasks_text.metrics.options import CometOptions

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


class Comet(Resampling):
    """The mean of a neural metric's segment scores (Rei et al. 2020).

    Models that judge without references ignore them. Needs unbabel-comet, which is imported, as the checkpoint is
    loaded, only where outputs are scored: what a record keeps is combined without either.
    """

    options: CometOptions
    name = "comet"
    direction = "higher"
    unit = "score"

    @property
    def signature(self) -> str:
        """Names the package's version and the model with the hash of its checkpoint, which must be there."""
        _require_package()
        checkpoint = self._checkpoint()
        model = checkpoint.folder.name if checkpoint.is_local else self.options.model
        version = metadata.version("unbabel-comet")
        return self._signed(f"comet|model:{model}|checkpoint:sha256:{checkpoint.digest[:16]}|version:{version}")

    def prepare(self) -> None:
        """Find or fetch the checkpoint. Raises ZooError where the package or the checkpoint is missing."""
        _require_package()
        self._checkpoint()

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """The segment's score, and one for the segment.

        Raises ZooError where the package is missing, or the checkpoint, or where the checkpoint is more than weights.
        """
        check_lengths(outputs, references, sources)
        _require_package()
        from zoo_tasks_text.metrics.comet_model import segment_scores

        triples = zip(sources, outputs, references, strict=True)
        samples = [{"src": source, "mt": output, "ref": reference} for source, output, reference in triples]
        found, options = self._checkpoint(), self.options
        scores = segment_scores(found.folder, found.file, samples, batch_size=options.batch_size, device=options.device)
        return [np.array([score, 1.0]) for score in scores]

    def of_sums(self, sums: Statistics) -> Statistics:
        return sums[:, 0] / sums[:, 1]

    def _checkpoint(self) -> _Checkpoint:
        return _find(self.options.model)


class _Checkpoint:
    """Where the files of a model lie."""

    def __init__(self, folder: Path, file: Path, *, is_local: bool) -> None:
        self.folder, self.file, self.is_local = folder, file, is_local
        for path in (folder / "hparams.yaml", file):
            if not path.is_file():
                raise ZooError(f"COMET: {path} is missing; expected a folder with hparams.yaml, checkpoints/model.ckpt")

    @property
    def digest(self) -> str:
        """sha256 of the checkpoint."""
        facts = self.file.stat()
        return _sha256(str(self.file), facts.st_size, facts.st_mtime_ns)


def _find(model: str) -> _Checkpoint:
    path = Path(model)
    if path.is_file():
        return _Checkpoint(path.resolve().parent.parent, path.resolve(), is_local=True)
    if path.is_dir():
        return _Checkpoint(path.resolve(), path.resolve() / "checkpoints" / "model.ckpt", is_local=True)
    if not _HUB_ID.fullmatch(model):
        raise ZooError(f"COMET: there is no folder or checkpoint '{model}'")
    folder = _fetched(model)
    return _Checkpoint(folder, folder / "checkpoints" / "model.ckpt", is_local=False)


@lru_cache(maxsize=8)
def _fetched(model: str) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["hparams.yaml", "checkpoints/model.ckpt"]
    try:
        return Path(snapshot_download(model, allow_patterns=wanted))
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise ZooError(
            f"COMET: '{model}' is no folder here and could not be had as a hub id; give the path of a folder with "
            f"hparams.yaml and checkpoints/model.ckpt ({type(error).__name__}: {said})"
        ) from error


@lru_cache(maxsize=8)
def _sha256(path: str, size: int, changed: int) -> str:
    """The hash of a file; size and time are what tells one version of it from another."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require_package() -> None:
    try:
        metadata.version("unbabel-comet")
    except metadata.PackageNotFoundError:
        raise ZooError(
            "COMET needs unbabel-comet: pip install 'zoo-registry[comet]', in an environment of its own where need be "
            "(it needs transformers < 5 and numpy < 2)"
        ) from None
