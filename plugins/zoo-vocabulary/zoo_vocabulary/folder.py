"""A saved model as surgery finds it, and the folder that surgery leaves: all of it or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

import zoo.models  # noqa: F401 - registers zoo's models with the Auto classes
from zoo.atomic import atomic_directory
from zoo.errors import InputError, ZooError
from zoo.models import weights_hash
from zoo.models._compat import save_tokenizer
from zoo.models.tokenizers import TARGET_FOLDER, Tokenizers, load_tokenizers
from zoo.spec.lock import LOCK_NAME, read_lock, write_lock
from zoo.spec.pretrained import find_checkpoint
from zoo.training.building import refuse_occupied
from zoo.training.outcome import TRAINING_FILE, read_outcome
from zoo.training.preparation import tokenizers_hash
from zoo.training.quiet import errors_only, quiet
from zoo_vocabulary import fast
from zoo_vocabulary.fast import FastFiles
from zoo_vocabulary.ids import named_ids, remapped
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.segmentation import Segmenter
from zoo_vocabulary.sentencepiece_files import SentencePieceFiles, sentencepiece_models
from zoo_vocabulary.tokenizer_files import TokenizerFiles, read_json, write_json
from zoo_vocabulary.weights import Fill, VocabularyTensor, remap_model, vocabulary_size, vocabulary_tensors

CONFIGS = ("config.json", "generation_config.json")
REPORT = "vocabulary.json"
_TRIED = 8
"""Tokens of the sequence on which the logits are compared."""
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 5e-3}
"""How far logits may be off, as a share of the greatest: a product of other sizes may be summed in another order."""


@dataclass(frozen=True)
class SavedModel:
    """A model and its tokenizer, with what of both is about the vocabulary."""

    folder: Path
    model: Any
    files: TokenizerFiles
    tokenizers: Tokenizers
    size: int
    """Rows of the vocabulary; some may have no token."""
    tensors: list[VocabularyTensor]
    revision: str
    """Content hash of configuration and weights."""

    @property
    def token_ids(self) -> list[int]:
        """The ids that have a token, ascending."""
        return sorted(set(self.files.tokens.values()))

    def named_ids(self) -> set[int]:
        """Ids that the configuration gives a role."""
        found: set[int] = set()
        for name in CONFIGS:
            if (self.folder / name).is_file():
                found |= named_ids(read_json(self.folder / name), self.size)
        return found


@quiet()
@errors_only()
def open_model(folder: Path) -> SavedModel:
    """Read a folder of `zoo build` or `zoo train`, or of transformers.

    Raises InputError in one line for what is none, for weights that are pickles, for a run that is not finished, for
    separate vocabularies, and for tensors of which it is not clear whether they are about tokens.
    """
    where = str(folder)
    if not folder.is_dir():
        raise InputError("no such folder; expected one with a saved model", where=where)
    checkpoint = find_checkpoint(where)
    checkpoint.config()
    checkpoint.weights()
    outcome = read_outcome(folder)
    if outcome is not None and outcome.status == "running":
        raise InputError("holds an interrupted run: 'zoo train ... --resume' continues it", where=where)
    if (folder / TARGET_FOLDER).is_dir():
        raise InputError("has separate vocabularies for source and target; expected one that both share", where=where)
    model = _load_model(folder)
    size = vocabulary_size(model, where)
    with _damage_told(where, "its tokenizer"):
        tokenizers = load_tokenizers(folder)
    files = _tokenizer_files(folder, tokenizers)
    beyond = {token: identity for token, identity in files.tokens.items() if not 0 <= identity < size}
    if beyond:
        token, identity = next(iter(beyond.items()))
        raise InputError(f"its tokenizer has the id {identity} ('{token}'), its matrices {size} rows", where=where)
    tensors = vocabulary_tensors(model, size, where)
    return SavedModel(folder, model, files, tokenizers, size, tensors, checkpoint.revision())


def _load_model(folder: Path) -> Any:
    where = str(folder)
    with _damage_told(where, "its model"):
        config = AutoConfig.from_pretrained(where, local_files_only=True)
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model, info = kind.from_pretrained(
            where, dtype="auto", use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(f"its weights lack '{missing[0]}': not saved with the output layer", where=where)
    return model.eval()


def _tokenizer_files(folder: Path, tokenizers: Tokenizers) -> TokenizerFiles:
    if sentencepiece_models(folder):
        return SentencePieceFiles(folder, dict(getattr(tokenizers.source, "lang_token_to_id", {})))
    if (folder / fast.FILE).is_file():
        return FastFiles(folder)
    if not hasattr(tokenizers.source, "backend_tokenizer"):
        raise InputError(
            f"its tokenizer ({type(tokenizers.source).__name__}) has no {fast.FILE}, and is neither Marian's nor "
            "M2M100's",
            where=str(folder),
        )
    # An older form, such as T5's spiece.model, that transformers has read: taken in the form it would save.
    with tempfile.TemporaryDirectory(prefix="zoo-vocabulary-") as converted:
        save_tokenizer(tokenizers.source, Path(converted))
        return FastFiles(Path(converted))


@contextmanager
def _damage_told(where: str, what: str) -> Iterator[None]:
    try:
        yield
    except ZooError:
        raise
    except Exception as error:
        # tokenizers has no exception of its own: it raises Exception itself.
        known = (OSError, ValueError, KeyError, ImportError, TypeError, RuntimeError, SafetensorError)
        if not (isinstance(error, known) or type(error) is Exception) or getattr(error, "errno", None) is not None:
            raise
        text = " ".join(str(error).split())[:160]
        raise InputError(f"{what} cannot be loaded ({type(error).__name__}: {text})", where=where) from error


@dataclass(frozen=True)
class Written:
    """What stands in the new folder, while it can still be thrown away."""

    folder: Path
    tokenizers: Tokenizers
    changes: dict[str, list[Any]]
    """Fields of the configurations that changed: ``file: field`` -> [before, after]."""
    difference: float
    """The greatest difference between old logits and new ones of the tokens that both have, on one sequence."""


@quiet()
@errors_only()
def write_model(
    saved: SavedModel,
    out: Path,
    remap: Remap,
    fill: Fill,
    report: Callable[[Written], dict[str, Any]],
    *,
    added: list[str] | None = None,
    grown: Segmenter | None = None,
) -> dict[str, Any]:
    """Operate on the model of `saved` (in place) and write `out` with all that belongs to it, and the report.

    Raises InputError where `out` holds something, ZooError where the model that was written does not compute what the
    old one did, or does not load; then nothing is left behind.
    """
    refuse_occupied(out)
    before = _logits(saved.model, _tried(saved, remap, old=True))
    remap_model(saved.model, saved.tensors, remap, saved.token_ids, fill)
    with atomic_directory(out) as temporary:
        saved.model.save_pretrained(temporary)
        changes = _write_configs(temporary, remap)
        saved.files.write(temporary, remap, added or [], grown)
        with _failure_told():
            tokenizers = load_tokenizers(temporary)
            model = _load_model(temporary)
        after = _logits(model, _tried(saved, remap, old=False))
        difference = _compared(before[..., remap.kept], after[..., remap.places])
        document = report(Written(temporary, tokenizers, changes, difference))
        write_json(temporary / REPORT, document)
        _write_record(saved, temporary, model, tokenizers)
    return document


@contextmanager
def _failure_told() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise ZooError(f"what was written does not load: {error.message}") from error


def _write_configs(folder: Path, remap: Remap) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name in CONFIGS:
        if (folder / name).is_file():
            config, changes = remapped(read_json(folder / name), remap)
            write_json(folder / name, config)
            found |= {f"{name}: {field}": change for field, change in changes.items()}
    return found


def _write_record(saved: SavedModel, folder: Path, model: Any, tokenizers: Tokenizers) -> None:
    """The lock of a zoo model, with the hashes of what now stands in the folder; and what became of its training."""
    if (saved.folder / LOCK_NAME).is_file():
        lock = read_lock(saved.folder / LOCK_NAME)
        content = lock.file.content.model_dump(exclude_none=True)
        content |= {"tokenizer": tokenizers_hash(tokenizers), "weights": weights_hash(model)}
        write_lock(folder / LOCK_NAME, lock.spec, content)
    if (saved.folder / TRAINING_FILE).is_file():
        shutil.copyfile(saved.folder / TRAINING_FILE, folder / TRAINING_FILE)


def _tried(saved: SavedModel, remap: Remap, *, old: bool) -> Tensor:
    """One sequence of tokens that are kept, ``[1, L]``, spread over the vocabulary."""
    tokens = [identity for identity in saved.token_ids if identity in remap.new_ids]
    chosen = [tokens[index * len(tokens) // _TRIED] for index in range(_TRIED)]
    return torch.tensor([chosen if old else [remap.new_ids[identity] for identity in chosen]])


@torch.no_grad()
def _logits(model: Any, ids: Tensor) -> Tensor:
    """Logits ``[1, L, V]``."""
    both = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    logits: Tensor = model(input_ids=ids, **both, use_cache=False).logits
    return logits


def _compared(before: Tensor, after: Tensor) -> float:
    share = _TOLERANCE.get(before.dtype, 1e-5)
    before, after = before.double(), after.double()
    difference = float(torch.where(before == after, 0.0, (before - after).abs()).max())  # -inf is -inf
    finite = before[torch.isfinite(before)].abs()
    scale = max(1.0, float(finite.max()) if len(finite) else 1.0)
    if not difference <= share * scale:
        raise ZooError(f"the model that was written computes other logits: {difference:.3g} off, of {scale:.3g}")
    return difference
