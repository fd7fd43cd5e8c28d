"""The trained models that are averaged: folders of runs, their checkpoints, and other folders of transformers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.errors import InputError
from zoo.models.base import PICKLES
from zoo.spec.lock import LOCK_NAME, LockedContent, read_lock
from zoo.spec.pretrained import find_checkpoint
from zoo.training.outcome import TrainingOutcome, read_outcome
from zoo.training.weights import checkpoints

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_FREE = {"_name_or_path", "transformers_version", "torch_dtype", "dtype", "plugins", "attention", "initialization"}
_FREE |= {"embedding_std", "pretrained"}
"""What models with the same weights may differ in: where they come from, how they began, which kernel they take."""


@dataclass(frozen=True)
class Input:
    """One model: its folder, and the run that it is of, if any.

    Tensors are read from safetensors, one at a time; nothing else of the folder is run or unpickled.
    """

    folder: Path
    run: Path | None
    """The folder with the lock file, tokenizers and outcome: the model's own, or that of the run whose checkpoint it
    is."""

    @cached_property
    def files(self) -> list[Path]:
        """The files of the weights. Raises InputError where there are none, or only pickles."""
        if (self.folder / WEIGHTS).is_file():
            return [self.folder / WEIGHTS]
        if (self.folder / INDEX).is_file():
            return self._shards()
        pickles = sorted(file.name for file in self.folder.iterdir() if file.suffix in PICKLES)
        found = f"found the pickle {pickles[0]}, which could run code when loaded" if pickles else "found none"
        raise InputError(f"expected weights in {WEIGHTS}, {found}", where=str(self.folder))

    def _shards(self) -> list[Path]:
        try:
            names = sorted({str(name) for name in json.loads((self.folder / INDEX).read_text())["weight_map"].values()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not an index of weights ({error})", where=str(self.folder / INDEX)) from None
        for name in names:
            if Path(name).name != name or not (self.folder / name).is_file():
                raise InputError(f"names {name!r}, which is no file beside it", where=str(self.folder / INDEX))
        return [self.folder / name for name in names]

    @cached_property
    def _homes(self) -> dict[str, Any]:
        """The open file of each tensor."""
        homes: dict[str, Any] = {}
        for file in self.files:
            try:
                opened: Any = safe_open(str(file), framework="pt")
                homes |= dict.fromkeys(opened.keys(), opened)
            except (SafetensorError, OSError) as error:
                raise InputError(f"cannot be read ({error})", where=str(file)) from None
        return homes

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor by its name."""
        return {name: tuple(home.get_slice(name).get_shape()) for name, home in sorted(self._homes.items())}

    def tensor(self, name: str) -> Tensor:
        """One tensor, in memory. Raises InputError where a number of it is not finite."""
        found: Tensor = self._homes[name].get_tensor(name)
        if found.is_floating_point() and not torch.isfinite(found).all():
            raise InputError(f"the tensor {name} holds numbers that are not finite", where=str(self.folder))
        return found

    def sha256(self) -> str:
        """``sha256:<hex>`` of the bytes of the weights' files, one after the other."""
        digest = hashlib.sha256()
        for file in self.files:
            with file.open("rb") as stream:
                while block := stream.read(2**22):
                    digest.update(block)
        return f"sha256:{digest.hexdigest()}"

    @cached_property
    def config(self) -> dict[str, Any]:
        """What stands in config.json."""
        path = self.folder / "config.json"
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError:
            raise InputError("no config.json here: not the folder of a model", where=str(self.folder)) from None
        except ValueError as error:
            raise InputError(f"is no JSON ({error})", where=str(path)) from None
        if not isinstance(found, dict):
            raise InputError("expected a mapping", where=str(path))
        return found

    @cached_property
    def content(self) -> LockedContent | None:
        """The hashes in the lock file of its run."""
        return None if self.run is None else read_lock(self.run / LOCK_NAME).file.content

    @cached_property
    def outcome(self) -> TrainingOutcome | None:
        """That of its run."""
        return None if self.run is None else read_outcome(self.run)

    @property
    def step(self) -> int | None:
        """The optimizer step that its weights are of, where that is known."""
        if self.run is not None and self.run != self.folder:
            return int(self.folder.name.removeprefix("step-"))
        return None if self.outcome is None else self.outcome.model_step

    def tokenizer(self) -> str | None:
        """What tells its tokenizer from another one."""
        if self.content is not None:
            return self.content.tokenizer
        file = self.folder / "tokenizer.json"
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def find_inputs(folders: Sequence[Path], last: int | None = None) -> list[Input]:
    """The models in `folders`; with `last`, the newest so many checkpoints of the one run there.

    Raises InputError unless they are at least two trained models with the same tensors, architecture and tokenizer.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError("no such folder; expected one of 'zoo train', or a checkpoint's", where=str(folder))
    found = [_input(folder) for folder in folders] if last is None else _newest(folders, last)
    if len(found) < 2:
        raise InputError(f"an average is one of two models or more, found {len(found)}")
    for other in found:
        _refuse_untrained(other)
        _refuse_unlike(found[0], other)
    return found


def _input(folder: Path) -> Input:
    if (folder / LOCK_NAME).is_file():
        return Input(folder, folder)
    # A checkpoint's folder holds weights and configuration; all else is its run's.
    run = folder.absolute().parent.parent
    own = folder.absolute().parent.name == checkpoints.FOLDER and (run / LOCK_NAME).is_file()
    return Input(folder, run if own else None)


def _newest(folders: Sequence[Path], count: int) -> list[Input]:
    if len(folders) != 1:
        raise InputError(f"takes the checkpoints of one run, found {len(folders)} folders", where=f"--last {count}")
    saved = checkpoints.complete(folders[0])
    if len(saved) < count:
        raise InputError(
            f"holds {len(saved)} complete checkpoints, and {count} are asked for: training.save_every writes them, "
            "training.keep_checkpoints keeps them",
            where=str(folders[0]),
        )
    return [_input(checkpoint.path) for checkpoint in saved[-count:]]


def _refuse_untrained(one: Input) -> None:
    outcome = one.outcome
    if one.run == one.folder and outcome is not None and outcome.total_steps and not outcome.model_step:
        raise InputError(f"holds initial weights (status {outcome.status}): nothing to average", where=str(one.folder))


def _refuse_unlike(first: Input, other: Input) -> None:
    """Raise InputError where the weights of the two do not mean the same."""
    where = str(other.folder)
    difference = _difference(first.config, other.config, strict=False)
    if difference is not None:
        raise InputError(f"is another architecture than {first.folder} ({difference})", where=where)
    if None not in (first.tokenizer(), other.tokenizer()) and first.tokenizer() != other.tokenizer():
        raise InputError(f"has another tokenizer than {first.folder}", where=where)
    for name in first.shapes.keys() ^ other.shapes.keys():
        lacking, having = (other, first) if name in first.shapes else (first, other)
        raise InputError(f"lacks the tensor {name}, which {having.folder} has", where=str(lacking.folder))
    for name, shape in first.shapes.items():
        if other.shapes[name] != shape:
            raise InputError(
                f"the tensor {name} has the shape {list(other.shapes[name])}, in {first.folder} it has {list(shape)}",
                where=where,
            )


def _difference(one: Any, other: Any, path: str = "", *, strict: bool = True) -> str | None:
    """The first difference of two trees; unless `strict`, of what both say at the top: versions write more or less."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return None if one == other else f"{path}: {_shown(other)}, there {_shown(one)}"
    keys = dict.fromkeys([*one, *other]) if strict else [key for key in one if key in other]
    for key in keys:
        if key in _FREE or "dropout" in key:
            continue
        found = _difference(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
        if found is not None:
            return found
    return None


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def same_start(inputs: Sequence[Input]) -> bool | None:
    """Whether the models began with the same weights, by their lock files; None where these do not say.

    A model that the others began with is one of them.
    """
    contents = [one.content for one in inputs]
    starts = {content.pretrained for content in contents if content is not None} - {None}
    if len(starts) == 1 and all(_is_or_began_with(one, starts) for one in inputs):
        return True
    for kind in ("weights", "pretrained"):
        hashes = [None if content is None else getattr(content, kind) for content in contents]
        if None not in hashes and len(set(hashes)) == 1:
            return True
    return None if any(content is None or content.weights is None for content in contents) else False


def _is_or_began_with(one: Input, starts: set[str | None]) -> bool:
    began = None if one.content is None else one.content.pretrained
    return began in starts or find_checkpoint(str(one.folder)).revision() in starts
