"""Loading COMET checkpoints without running what is pickled in them, and scoring with them. Imports unbabel-comet."""

from __future__ import annotations

import inspect
import logging
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml

from zoo.errors import ZooError, did_you_mean


def segment_scores(
    folder: Path, file: Path, samples: Sequence[Mapping[str, str]], *, batch_size: int, device: str
) -> list[float]:
    """One score for each of `samples` (mappings with src, mt and ref), by comet's own `predict`."""
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if on_gpu and not torch.cuda.is_available():
        raise ZooError("COMET: device is cuda, but there is no GPU; set device: cpu or auto")
    # Initial weights and a data loader's seed are drawn on the way.
    with _quiet(), torch.random.fork_rng(devices=[]):
        model = load_model(folder, file)
        found = model.predict(list(samples), batch_size=batch_size, gpus=int(on_gpu), progress_bar=False, num_workers=0)
    return [float(score) for score in found["scores"]]


def load_model(folder: Path, file: Path) -> Any:
    """The model in `folder` with the weights in `file`.

    comet itself would unpickle the checkpoint. Here torch reads it with ``weights_only``, which builds tensors and
    plain data and refuses everything else. Raises ZooError where the checkpoint holds more than that, where its class
    is none of comet's, or where weights are missing.
    """
    from comet.encoders import str2encoder
    from comet.models import str2model

    try:
        named = yaml.safe_load((folder / "hparams.yaml").read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ZooError(f"COMET: {folder / 'hparams.yaml'}: {_one_line(error)}") from error
    if not isinstance(named, dict):
        raise ZooError(f"COMET: {folder / 'hparams.yaml'}: expected a mapping")
    checkpoint = _tensors(file)
    # As comet does: the file beside the checkpoint names the class, the checkpoint itself has the rest.
    hparams = {**named, **(checkpoint.get("hyper_parameters") or {})}
    identifier = str(named.get("class_identifier"))
    if identifier not in str2model:
        raise ZooError(f"COMET: class_identifier '{identifier}': {did_you_mean(identifier, str2model)}")
    encoder = str(hparams.get("encoder_model", "XLM-RoBERTa"))
    if encoder not in str2encoder:
        raise ZooError(f"COMET: encoder_model '{encoder}': {did_you_mean(encoder, str2encoder)}")
    hparams["load_pretrained_weights"] = False
    if isinstance(beside := hparams.get("pretrained_model"), str) and (folder / beside).is_dir():
        hparams["pretrained_model"] = str(folder / beside)
    hparams["local_files_only"] = Path(str(hparams.get("pretrained_model"))).is_dir()
    if hparams.get("layer_transformation") == "sparsemax_patch":
        hparams["layer_transformation"] = "softmax"  # what comet >= 2.2.4 takes it for
    return _built(str2model[identifier], hparams, checkpoint["state_dict"], file)


def _built(model_class: Any, hparams: Mapping[str, Any], weights: Mapping[str, Any], file: Path) -> Any:
    known = inspect.signature(model_class.__init__).parameters
    try:
        model = model_class(**{name: value for name, value in hparams.items() if name in known})
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise ZooError(f"COMET: the model of {file} cannot be built: {_one_line(error)}") from error
    try:
        # Not strict, as comet: older checkpoints hold buffers that newer encoders make themselves.
        missing = model.load_state_dict(weights, strict=False).missing_keys
    except RuntimeError as error:
        raise ZooError(f"COMET: the weights in {file} are another model's: {_one_line(error)}") from error
    parameters = {name for name, _ in model.named_parameters()}
    if absent := sorted(parameters.intersection(missing)):
        raise ZooError(f"COMET: {file} lacks {len(absent)} weights, such as {absent[0]}")
    return model.eval()


def _tensors(file: Path) -> dict[str, Any]:
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not zipfile.is_zipfile(file):
            raise ZooError(f"COMET: {file} is no checkpoint of torch") from error
        # torch names it, and advises beside that to load the file all the same.
        what = re.search(r"GLOBAL \S+", str(error))
        named = f" ({what[0]})" if what else ""
        raise ZooError(
            f"COMET: {file} was refused: it holds Python objects beside weights{named}, and to load those could run "
            "code; save its state_dict and hyper_parameters anew with torch.save"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise ZooError(f"COMET: {file} is no checkpoint of torch: {_one_line(error)}") from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise ZooError(f"COMET: {file} holds no state_dict")
    if not isinstance(checkpoint.get("hyper_parameters") or {}, dict):
        raise ZooError(f"COMET: {file}: hyper_parameters are no mapping")
    return checkpoint


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the packages' log lines and warnings, and without the root logger that comet sets up on import."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    packages = [logging.getLogger(name) for name in ("comet", "pytorch_lightning", "lightning", "lightning.pytorch")]
    levels = [logger.level for logger in packages]
    for logger in packages:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, before in zip(packages, levels, strict=True):
            logger.setLevel(before)
        root.handlers[:] = handlers
        root.setLevel(level)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]
