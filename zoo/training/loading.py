"""A folder of `build` or `train`, read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from zoo.errors import InputError
from zoo.models import load_model
from zoo.models.tokenizers import NO_TOKENIZERS, SLOW_TOKENIZER, TARGET_FOLDER, Tokenizers, load_tokenizers
from zoo.spec import Spec
from zoo.spec.lock import LOCK_NAME, read_lock
from zoo.training.quiet import errors_only, quiet


@dataclass(frozen=True)
class Run:
    """A folder of `build` or `train`, read back."""

    spec: Spec
    model: Any
    tokenizers: Tokenizers


@quiet()
@errors_only()
def load_run(directory: Path) -> Run:
    """Read a folder that `build` or `train` wrote. Raises InputError where it is none, or is damaged."""
    _refuse_without(directory, LOCK_NAME, "config.json")
    spec = read_lock(directory / LOCK_NAME).spec
    if spec.model.writes_text:
        slow = (directory / SLOW_TOKENIZER).is_file()
        _refuse_without(directory, "tokenizer_config.json" if slow else "tokenizer.json")
    own = f"{TARGET_FOLDER}/tokenizer.json"
    if spec.has_separate_tokenizers != (directory / own).is_file():
        found = "there is none" if spec.has_separate_tokenizers else "there is one"
        raise InputError(
            f"its spec has {'a' if spec.has_separate_tokenizers else 'no'} target_tokenizer, "
            f"but {found} in {own}: not the folder that zoo wrote",
            where=str(directory),
        )
    try:
        model = load_model(directory)
        tokenizers = load_tokenizers(directory) if model.writes_text else NO_TOKENIZERS
    except Exception as error:
        # The tokenizers library has no exception of its own, and transformers' OSErrors about a file carry no number:
        # one with a number is the disk's fault, any other exception the code's.
        damaged = isinstance(error, (OSError, ValueError, KeyError, SafetensorError)) or type(error) is Exception
        if not damaged or getattr(error, "errno", None) is not None:
            raise
        text = " ".join(str(error).split())[:200]
        raise InputError(f"cannot be loaded ({type(error).__name__}: {text})", where=str(directory)) from error
    return Run(spec, model, tokenizers)


def _refuse_without(directory: Path, *names: str) -> None:
    for name in names:
        if not (directory / name).is_file():
            raise InputError(f"no {name} here: not a folder of 'zoo build' or 'zoo train'", where=str(directory))
