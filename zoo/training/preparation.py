"""A spec's data and tokenizers, ready to use. A tokenizer is trained once and kept under its content's name."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from zoo.atomic import atomic_directory, locked, swept
from zoo.errors import InputError, ZooError
from zoo.measure.reading import refuse_other_input
from zoo.models.tokenizers import NO_TOKENIZERS, Tokenizers, load_tokenizers, save_tokenizers
from zoo.spec import Spec, distributions_of
from zoo.spec.load import canonical
from zoo.spec.options import Chosen
from zoo.spec.peer_spec import refuse_peer
from zoo.spec.pretrained import find_checkpoint, tokenizer_sources
from zoo.tasks import DataHome, PreparedTask, PretrainedTokenizer
from zoo.tasks.contracts import Progress, Side, silent
from zoo.training.data.special_tokens import add_special_tokens

_LIBRARIES = ("tokenizers", "sentencepiece", "transformers")
"""What, besides the plugin, decides the bytes of a saved tokenizer."""


@dataclass(frozen=True)
class Prepared:
    """What a spec's model reads."""

    task: PreparedTask
    tokenizers: Tokenizers


def prepare(spec: Spec, home: DataHome, progress: Progress = silent) -> Prepared:
    """Prepare the task's data and train its tokenizers, or find both where an earlier run left them.

    One tokenizer learns from both sides, or, where the spec has a `target_tokenizer`, each side has one that learns
    from it alone; a detector has none, and a generator. The task's special tokens follow the trained vocabulary of
    each. Raises ZooError where the data cannot be had or a tokenizer breaks its contract, InputError where the model
    does not read what the task gives, or there is a peer in its place.
    """
    refuse_peer(spec)
    task = prepare_task(spec, home, progress)
    if not spec.model.writes_text:
        return Prepared(task, NO_TOKENIZERS)
    if takes_pretrained_tokenizer(spec):
        return Prepared(task, _pretrained(spec, task))
    if spec.target_tokenizer is None:
        shared = _tokenizer(spec, spec.tokenizer, task, None, home, progress)
        return Prepared(task, Tokenizers(shared, shared))
    source = _tokenizer(spec, spec.tokenizer, task, "source", home, progress)
    target = _tokenizer(spec, spec.target_tokenizer, task, "target", home, progress)
    return Prepared(task, Tokenizers(source, target))


def prepare_task(spec: Spec, home: DataHome, progress: Progress = silent) -> PreparedTask:
    """A spec's data alone, for a model that has its tokenizers: errors as those of `prepare`."""
    task: PreparedTask = spec.task.create().prepare(home, progress)
    refuse_other_input(spec.model, task.inputs)
    return task


def takes_pretrained_tokenizer(spec: Spec) -> bool:
    """Whether the model keeps the vocabulary of the pretrained model that it begins with."""
    return spec.takes_pretrained_tokenizer


def _pretrained(spec: Spec, task: PreparedTask) -> Tokenizers:
    """Those of the model's checkpoint, saved and read back: what the model's folder will hold."""
    pretrained = spec.model.pretrained
    if pretrained is None:
        raise InputError(f"tokenizer '{spec.tokenizer.name}' is that of a pretrained model: name one in model.from")
    component: PretrainedTokenizer = spec.tokenizer.create()
    loaded = [component.load(place) for place in tokenizer_sources(find_checkpoint(pretrained.path), pretrained)]
    for tokenizer in loaded:
        for name in ("pad", "eos"):
            found, expected = getattr(tokenizer, f"{name}_token_id"), getattr(pretrained, name)
            if found != expected:
                raise InputError(
                    f"its tokenizer has the {name} id {found}, its config.json says {expected}", where=pretrained.path
                )
        add_special_tokens(tokenizer, task.special_tokens, spec.tokenizer.id)
    tokenizers = Tokenizers(*loaded) if pretrained.target_tokenizer else Tokenizers.of(loaded[0])
    with tempfile.TemporaryDirectory(prefix="zoo-tokenizer-") as folder:
        save_tokenizers(tokenizers, Path(folder))
        return load_tokenizers(Path(folder))


def _tokenizer(
    spec: Spec, chosen: Chosen, task: PreparedTask, side: Side | None, home: DataHome, progress: Progress
) -> Any:
    """The tokenizer of one side, or of both, from disk: so that the first run and later ones use the same object."""
    data = {"revision": task.revision, "task": spec.task.plain()}
    name = tokenizer_key(chosen, data, side=side, special_tokens=task.special_tokens)
    folder = home.tokenizers / name
    # The lock makes a second process wait for the first one's tokenizer rather than train its own.
    with locked(home.tokenizers / f"{name}.lock"):
        if not folder.is_dir():
            progress("training the tokenizer" if side is None else f"training the {side} tokenizer", 0, 0)
            tokenizer = chosen.create().train(task.tokenizer_texts(side))
            _check_special_tokens(tokenizer, chosen.id)
            add_special_tokens(tokenizer, task.special_tokens, chosen.id)
            with swept(home.tokenizers), atomic_directory(folder) as temporary:
                save_tokenizers(Tokenizers(tokenizer, tokenizer), temporary)
    return load_tokenizers(folder).source


def tokenizer_key(chosen: Chosen, data: Any, *, side: Side | None = None, special_tokens: Sequence[str] = ()) -> str:
    """The folder name of a trained tokenizer: it changes with `data` (the revision, and the options of the task, which
    choose the training texts), component, options, versions, the side that it learned from and the special tokens.
    """
    versions = dict(distributions_of(chosen.options))
    versions[chosen.component.distribution] = chosen.component.version
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    content: dict[str, Any] = {"data": data, "tokenizer": chosen.plain(), "versions": versions}
    if side is not None:
        content["side"] = side
    if special_tokens:
        content["special_tokens"] = list(special_tokens)
    return f"{chosen.name}-{hashlib.sha256(canonical(content)).hexdigest()[:20]}"


def tokenizer_hash(tokenizer: Any) -> str:
    """``sha256:<hex>`` of what a tokenizer does, free of the files that transformers wraps around it.

    One that transformers runs in Python (Marian's) is hashed by its files.
    """
    if hasattr(tokenizer, "backend_tokenizer"):
        return "sha256:" + hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    digest = hashlib.sha256(f"{type(tokenizer).__name__}\0".encode())
    with tempfile.TemporaryDirectory(prefix="zoo-tokenizer-") as folder:
        for path in sorted(map(Path, tokenizer.save_vocabulary(folder))):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def tokenizers_hash(tokenizers: Tokenizers) -> str:
    """The hash of the tokenizer that both sides share, or one over those of both sides."""
    if tokenizers.shared:
        return tokenizer_hash(tokenizers.source)
    both = [tokenizer_hash(tokenizers.source), tokenizer_hash(tokenizers.target)]
    return "sha256:" + hashlib.sha256(canonical(both)).hexdigest()


def _check_special_tokens(tokenizer: Any, component: str) -> None:
    expected = {"pad": 0, "eos": 1, "bos": 2, "unk": 3}
    found = {name: getattr(tokenizer, f"{name}_token_id") for name in expected}
    if found != expected:
        raise ZooError(f"tokenizer '{component}' has the special ids {found}, the contract is {expected}")
