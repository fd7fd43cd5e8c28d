"""A model that zoo wrote, as the beginning of another: the model section that its config.json carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.registry import Registry
from zoo.registry.needed import refuse_missing_plugins
from zoo.spec.pretrained.checkpoint import Checkpoint
from zoo.spec.pretrained.fields import Fields
from zoo.spec.pretrained.section import PretrainedSection

ZOO = "zoo"
"""The ``model_type`` of zoo's own models."""
TRAINING_FILE = "training.json"
"""What became of a run, in its folder."""
CHECKPOINTS = "checkpoints"
"""Where a run's folder keeps its checkpoints: models without tokenizers, which are the run's."""
COMPLETE = "complete.json"
"""Says of a checkpoint that all of it is there."""
TARGET_TOKENIZER = "target_tokenizer"
"""Where a model's folder keeps the target's tokenizer, if that is another one than the source's at its top."""
_TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json")
_PAD, _EOS, _BOS = 0, 1, 2  # of `zoo.models.configuration`, where a configuration does not say


def zoo_section(checkpoint: Checkpoint, registry: Registry) -> dict[str, Any]:
    """The model section of a folder of `zoo build`, `train`, `average` or `vocab`, in plain data, without the
    ``pretrained.path``, ``type`` and ``revision``.

    What that model itself began with is left out. Raises InputError where a plugin that the model needs is not here,
    and for the folder of a run that has not come to trained weights.
    """
    _refuse_unfinished(checkpoint)
    config = checkpoint.config()
    section = config.mapping("model")
    plugins = {name: str(version) for name, version in config.mapping("plugins", {}).items()}
    if section.get("architecture") == "detector":
        raise InputError("is a detector: no spec begins with a model that finds boxes yet", where=checkpoint.name)
    if section.get("architecture") == "generator":
        raise InputError("is a generator: no spec begins with one yet", where=checkpoint.name)
    refuse_missing_plugins(plugins, registry, checkpoint.name)
    size = config.integer("vocab_size")
    own_source = None if config.plain.get("encoder_vocab_size") is None else config.integer("encoder_vocab_size")
    pad = config.integer("pad_token_id", _PAD)
    ids = {
        "vocab_size": size if own_source is None else own_source,
        "decoder_vocab_size": None if own_source is None else size,
        "target_tokenizer": _target_tokenizer(checkpoint) is not None,
        "pad": pad,
        "eos": config.integer("eos_token_id", _EOS),
        "bos": config.token("bos_token_id") if "bos_token_id" in config.plain else _BOS,
        "decoder_start": config.integer("decoder_start_token_id", pad),
    }
    return {**section, "pretrained": ids}


def tokenizer_sources(checkpoint: Checkpoint, pretrained: PretrainedSection) -> list[str]:
    """What transformers loads the tokenizer of both sides from, or those of source and target.

    Those of a run's checkpoint, which holds none, are the run's. Raises InputError where the target's is not there.
    """
    if pretrained.type != ZOO:
        return [checkpoint.tokenizer_source()]
    first = str(_tokenizer_home(checkpoint) or checkpoint.tokenizer_source())
    if not pretrained.target_tokenizer:
        return [first]
    second = _target_tokenizer(checkpoint)
    if second is None:
        raise InputError(f"has no {TARGET_TOKENIZER}, which it had when the spec was resolved", where=checkpoint.name)
    return [first, second]


def _target_tokenizer(checkpoint: Checkpoint) -> str | None:
    """What the target's own tokenizer is loaded from; None where the sides share one."""
    home = _tokenizer_home(checkpoint)
    if home is not None:
        own = home / TARGET_TOKENIZER
        return str(own) if own.is_dir() else None
    if not checkpoint.has(f"{TARGET_TOKENIZER}/{_TOKENIZER_FILES[0]}"):
        return None
    files = [checkpoint.file(f"{TARGET_TOKENIZER}/{name}") for name in _TOKENIZER_FILES]
    return str(files[0].parent)


def _tokenizer_home(checkpoint: Checkpoint) -> Path | None:
    """The folder with the tokenizers; None for a model on the hub."""
    folder = checkpoint.folder
    if folder is None or (folder / _TOKENIZER_FILES[0]).is_file():
        return folder
    run = folder.absolute().parent.parent
    of_a_run = folder.absolute().parent.name == CHECKPOINTS and (run / _TOKENIZER_FILES[0]).is_file()
    return run if of_a_run else folder


def _refuse_unfinished(checkpoint: Checkpoint) -> None:
    """Raise InputError for a run whose folder has initial weights at its top, because it broke off or failed."""
    folder = checkpoint.folder
    if folder is None or not (folder / TRAINING_FILE).is_file():
        return
    outcome = Fields(checkpoint.document(TRAINING_FILE), f"{checkpoint.name}: {TRAINING_FILE}")
    status = outcome.text("status")
    if status == "running":
        saved = sorted(path.parent.name for path in (folder / CHECKPOINTS).glob(f"step-*/{COMPLETE}"))
        newest = f", or begin with its newest checkpoint, {checkpoint.name}/{CHECKPOINTS}/{saved[-1]}" if saved else ""
        raise InputError(
            f"holds an interrupted run, with its initial weights: 'zoo train ... --resume' continues it{newest}",
            where=checkpoint.name,
        )
    if outcome.integer("total_steps", 0) and not outcome.integer("model_step", 0):
        raise InputError(
            f"holds a run that failed (status {status}) before its first checkpoint, with its initial weights: "
            "begin with another model",
            where=checkpoint.name,
        )
