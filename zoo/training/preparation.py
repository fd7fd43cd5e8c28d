"""A spec's data and tokenizer, ready to use. A tokenizer is trained once and kept under its content's name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from transformers import AutoTokenizer

from zoo.atomic import atomic_directory, locked
from zoo.errors import ZooError
from zoo.models._compat import save_tokenizer
from zoo.models.tokenizers import Tokenizers
from zoo.spec import Spec, distributions_of
from zoo.spec.load import canonical
from zoo.tasks import DataHome, PreparedTask
from zoo.tasks.contracts import Progress, silent

_LIBRARIES = ("tokenizers", "sentencepiece", "transformers")
"""What, besides the plugin, decides the bytes of a saved tokenizer."""


@dataclass(frozen=True)
class Prepared:
    """What a spec's model reads."""

    task: PreparedTask
    tokenizers: Tokenizers


def prepare(spec: Spec, home: DataHome, progress: Progress = silent) -> Prepared:
    """Prepare the task's data and train its tokenizer, or find both where an earlier run left them.

    Raises ZooError where the data cannot be had or the tokenizer breaks its contract.
    """
    task: PreparedTask = spec.task.create().prepare(home, progress)
    name = tokenizer_key(spec, task.revision)
    folder = home.tokenizers / name
    # The lock makes a second process wait for the first one's tokenizer rather than train its own.
    with locked(home.tokenizers / f"{name}.lock"):
        if not folder.is_dir():
            progress("training the tokenizer", 0, 0)
            tokenizer = spec.tokenizer.create().train(task.tokenizer_texts())
            _check_special_tokens(tokenizer, spec.tokenizer.id)
            with atomic_directory(folder) as temporary:
                save_tokenizer(tokenizer, temporary)
    # Always the one from disk, so that the first run and later ones use the same object.
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    return Prepared(task, Tokenizers(tokenizer, tokenizer))


def tokenizer_key(spec: Spec, data_revision: str) -> str:
    """The folder name of a trained tokenizer: it changes with data, component, options and versions."""
    versions = dict(distributions_of(spec.tokenizer))
    versions[spec.tokenizer.component.distribution] = spec.tokenizer.component.version
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    content = {"data": data_revision, "tokenizer": spec.tokenizer.plain(), "versions": versions}
    return f"{spec.tokenizer.name}-{hashlib.sha256(canonical(content)).hexdigest()[:20]}"


def tokenizer_hash(tokenizer: Any) -> str:
    """``sha256:<hex>`` of what a tokenizer does, free of the files that transformers wraps around it."""
    return "sha256:" + hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def _check_special_tokens(tokenizer: Any, component: str) -> None:
    expected = {"pad": 0, "eos": 1, "bos": 2, "unk": 3}
    found = {name: getattr(tokenizer, f"{name}_token_id") for name in expected}
    if found != expected:
        raise ZooError(f"tokenizer '{component}' has the special ids {found}, the contract is {expected}")
