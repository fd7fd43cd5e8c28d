"""Tiny pretrained models, made once a session, and zoo models read from them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from zoo.models import assemble
from zoo.models.pretrained import GraftReport, graft_weights
from zoo.models.pretrained.vocabulary import pretrained_vocabulary
from zoo.models.tokenizers import load_tokenizers
from zoo.registry import current_registry
from zoo.spec import ModelSection, load_spec

sys.path.insert(0, str(Path(__file__).parent))

from checkpoints import SPEC, write_checkpoint

NEEDED = {
    "t5": ["position/t5"],
    "t5-gated": ["position/t5", "feedforward/glu"],
    "mt5": ["position/t5", "feedforward/glu"],
}


class Read(NamedTuple):
    """A zoo model that was read from a checkpoint."""

    section: ModelSection
    model: Any
    report: GraftReport


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``checkpoint("marian")``: the folder of one, the same for all tests; skips where zoo lacks its components."""
    made: dict[str, Path] = {}

    def of(kind: str) -> Path:
        for needed in NEEDED.get(kind, []):
            slot, name = needed.split("/")
            if name not in current_registry().names(slot):
                pytest.skip(f"{needed} is not installed")
        if kind not in made:
            made[kind] = write_checkpoint(kind, tmp_path_factory.mktemp("checkpoints") / kind)
        return made[kind]

    return of


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[..., Path]:
    """``write_spec(folder, graft={...}, **changes)``: a spec file over a checkpoint."""

    def write(folder: Path | str, graft: Any = None, name: str = "spec.yaml", **changes: Any) -> Path:
        model = {"from": str(folder), **({} if graft is None else {"graft": graft}), **changes.pop("model", {})}
        path = tmp_path / name
        path.write_text(yaml.safe_dump({**SPEC, "model": model, **changes}))
        return path

    return write


@pytest.fixture
def read(write_spec: Callable[..., Path]) -> Callable[..., Read]:
    """``read(folder, graft={...})``: the zoo model of a checkpoint, in evaluation mode."""

    def make(folder: Path, graft: Any = None, **changes: Any) -> Read:
        section = load_spec(write_spec(folder, graft, **changes)).model
        model = _fresh(section, folder)
        return Read(section, model, graft_weights(model, section))

    return make


@pytest.fixture
def fresh() -> Callable[[ModelSection, Path], Any]:
    """``fresh(section, folder)``: the model of a section before anything was read into it."""
    return _fresh


@pytest.fixture
def rewritten(tmp_path: Path) -> Callable[..., Path]:
    """``rewritten(folder, change)``: a copy of a checkpoint whose tensors `change` was called with."""

    def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
        copy = tmp_path / "rewritten"
        shutil.copytree(folder, copy)
        tensors = load_file(copy / "model.safetensors")
        change(tensors)
        save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
        return copy

    return rewrite


def _fresh(section: ModelSection, folder: Path) -> Any:
    vocabulary = pretrained_vocabulary(section, load_tokenizers(folder))
    model = assemble(section, vocabulary.size, seed=5, token_ids=vocabulary.token_ids).eval()
    model.generation_config.update(**vocabulary.generation)
    return model


@pytest.fixture
def batch() -> Callable[[Any], dict[str, torch.Tensor]]:
    """``batch(section.pretrained)``: two sources of 6 and 4 tokens, two targets of 5 and 3, padded and masked."""

    def make(ids: Any) -> dict[str, torch.Tensor]:
        draw = torch.Generator().manual_seed(11)
        inputs: dict[str, torch.Tensor] = {}
        for prefix, length, real in (("", 6, 4), ("decoder_", 5, 3)):
            tokens = torch.randint(4, 38, (2, length), generator=draw)
            mask = torch.ones_like(tokens)
            mask[1, real:] = 0
            inputs[f"{prefix}input_ids"] = tokens.masked_fill(mask == 0, ids.pad)
            inputs[f"{prefix}attention_mask"] = mask
        inputs["decoder_input_ids"][:, 0] = ids.decoder_start
        return inputs

    return make
