"""A saved model as surgery finds it, and the folder that surgery leaves: all of it or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
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
from zoo_vocabulary.ids import READ, named_ids, remapped
from zoo_vocabulary.remap import Remap
from zoo_vocabulary.sentencepiece_files import SentencePieceFiles, has_separate_vocabularies, sentencepiece_models
from zoo_vocabulary.sides import Change, Of, Vocabulary
from zoo_vocabulary.tokenizer_files import TokenizerFiles, read_json, write_json
from zoo_vocabulary.weights import VocabularyTensor, remap_model, vocabulary_sizes, vocabulary_tensors

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
    tokenizers: Tokenizers
    vocabularies: tuple[Vocabulary, ...]
    """The one that both sides share, or the source's and the target's."""
    fields: dict[str, Of]
    """The fields of the configuration that count a vocabulary, and whose."""
    tensors: list[VocabularyTensor]
    revision: str
    """Content hash of configuration and weights."""

    @property
    def apart(self) -> bool:
        """Whether source and target have vocabularies of their own."""
        return len(self.vocabularies) > 1

    def vocabulary(self, side: Of = None) -> Vocabulary:
        """That of `side`, or the shared one."""
        return next(found for found in self.vocabularies if found.side in {None, side})


@quiet()
@errors_only()
def open_model(folder: Path) -> SavedModel:
    """Read a folder of `zoo build` or `zoo train`, or of transformers.

    Raises InputError in one line for what is none, for weights that are pickles, for a run that is not finished, for
    vocabularies that model and tokenizer do not agree on, and for tensors over the vocabulary that are not known.
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
    model = _load_model(folder)
    apart = (folder / TARGET_FOLDER).is_dir() or has_separate_vocabularies(folder)
    fields = vocabulary_sizes(model, where, apart=apart)
    with _damage_told(where, "its tokenizer"):
        tokenizers = load_tokenizers(folder)
    vocabularies = tuple(_vocabulary(folder, tokenizers, side, size) for side, size in dict(fields.values()).items())
    tensors = vocabulary_tensors(model, fields, where)
    sides = {name: side for name, (side, _) in fields.items()}
    return SavedModel(folder, model, tokenizers, vocabularies, sides, tensors, checkpoint.revision())


def _vocabulary(folder: Path, tokenizers: Tokenizers, side: Of, size: int) -> Vocabulary:
    own = TARGET_FOLDER if side == "target" and (folder / TARGET_FOLDER).is_dir() else ""
    files = _tokenizer_files(folder / own, tokenizers, side)
    beyond = {token: identity for token, identity in files.tokens.items() if not 0 <= identity < size}
    if beyond:
        token, identity = next(iter(beyond.items()))
        raise InputError(
            f"its tokenizer has the id {identity} ('{token}'), its matrices {size} rows", where=str(folder)
        )
    configs = [read_json(folder / name) for name in CONFIGS if (folder / name).is_file()]
    roles = READ if side == "source" else None
    named = frozenset(identity for config in configs for identity in named_ids(config, size, roles))
    return Vocabulary(side, files, size, named, own)


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


def _tokenizer_files(folder: Path, tokenizers: Tokenizers, side: Of) -> TokenizerFiles:
    tokenizer = tokenizers.target if side == "target" else tokenizers.source
    if sentencepiece_models(folder):
        return SentencePieceFiles(folder, dict(getattr(tokenizer, "lang_token_to_id", {})), side)
    if (folder / fast.FILE).is_file():
        return FastFiles(folder)
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise InputError(
            f"its tokenizer ({type(tokenizer).__name__}) has no {fast.FILE}, and is neither Marian's nor M2M100's",
            where=str(folder),
        )
    # An older form, such as T5's spiece.model, that transformers has read: taken in the form it would save.
    with tempfile.TemporaryDirectory(prefix="zoo-vocabulary-") as converted:
        save_tokenizer(tokenizer, Path(converted))
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
    saved: SavedModel, out: Path, changes: Mapping[Of, Change], report: Callable[[Written], dict[str, Any]]
) -> dict[str, Any]:
    """Operate on the model of `saved` (in place) and write `out` with all that belongs to it, and the report.

    Raises InputError where `out` holds something, ZooError where the model that was written does not compute what the
    old one did, or does not load; then nothing is left behind.
    """
    refuse_occupied(out)
    remaps = {side: change.remap for side, change in changes.items()}
    before = _logits(saved.model, *_tried(saved, remaps, old=True))
    tokens = {found.side: found.token_ids for found in saved.vocabularies}
    remap_model(saved.model, saved.tensors, remaps, tokens, {side: change.fill for side, change in changes.items()})
    output = remaps[saved.vocabulary("target").side]
    with atomic_directory(out) as temporary:
        saved.model.save_pretrained(temporary)
        fields = _write_configs(temporary, output, {name: remaps[side] for name, side in saved.fields.items()})
        write_tokenizers(saved, temporary, changes)
        with _failure_told():
            tokenizers = load_tokenizers(temporary)
            model = _load_model(temporary)
        after = _logits(model, *_tried(saved, remaps, old=False))
        difference = _compared(before[..., output.kept], after[..., output.places])
        document = report(Written(temporary, tokenizers, fields, difference))
        write_json(temporary / REPORT, document)
        _write_record(saved, temporary, model, tokenizers)
    return document


def write_tokenizers(saved: SavedModel, folder: Path, changes: Mapping[Of, Change]) -> None:
    """Write the tokenizers as `changes` have them."""
    for found in saved.vocabularies:
        change, place = changes[found.side], folder / found.folder
        place.mkdir(exist_ok=True)
        found.files.write(place, change.remap, change.added, change.grown)


@contextmanager
def tried_tokenizers(saved: SavedModel, changes: Mapping[Of, Change]) -> Iterator[Tokenizers]:
    """The tokenizers as `changes` would have them, from disk, before any weights are touched."""
    with tempfile.TemporaryDirectory(prefix="zoo-vocabulary-") as folder:
        # Older folders name the class of their tokenizer by the type of their model alone.
        shutil.copyfile(saved.folder / CONFIGS[0], Path(folder) / CONFIGS[0])
        write_tokenizers(saved, Path(folder), changes)
        told = _damage_told(str(saved.folder), "its tokenizer with other tokens")
        with quiet(), errors_only(), _failure_told(), told:
            tokenizers = load_tokenizers(Path(folder))
        yield tokenizers


@contextmanager
def _failure_told() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise ZooError(f"what was written does not load: {error.message}") from error


def _write_configs(folder: Path, remap: Remap, sizes: Mapping[str, Remap]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name in CONFIGS:
        if (folder / name).is_file():
            config, changes = remapped(read_json(folder / name), remap, sizes)
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


def _tried(saved: SavedModel, remaps: Mapping[Of, Remap], *, old: bool) -> list[Tensor]:
    """A sequence of each vocabulary's tokens that are kept, ``[1, L]``, spread over it."""
    found: list[Tensor] = []
    for vocabulary in saved.vocabularies:
        remap = remaps[vocabulary.side]
        tokens = [identity for identity in vocabulary.token_ids if identity in remap.new_ids]
        chosen = [tokens[index * len(tokens) // _TRIED] for index in range(_TRIED)]
        found.append(torch.tensor([chosen if old else [remap.new_ids[identity] for identity in chosen]]))
    return found


@torch.no_grad()
def _logits(model: Any, read: Tensor, written: Tensor | None = None) -> Tensor:
    """Logits ``[1, L, V]`` of what is `written` after what is `read`: the same where the sides share a vocabulary."""
    both = {"decoder_input_ids": read if written is None else written} if model.config.is_encoder_decoder else {}
    logits: Tensor = model(input_ids=read, **both, use_cache=False).logits
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
