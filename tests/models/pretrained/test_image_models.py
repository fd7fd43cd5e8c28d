"""Specs that begin with a model of zoo's own that reads images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from zoo.errors import InputError
from zoo.registry import use_registry
from zoo.spec import Spec, load_spec, resolve
from zoo.tasks import DataHome
from zoo.testing.glyphs import with_glyphs
from zoo.training import build, load_run

MakeSpec = Callable[..., Spec]
KINDS: dict[str, dict[str, Any]] = {
    "image-to-text": {"model.image.patch_position": {"use": "absolute-cropped", "rows": 2, "columns": 8}},
    "image-ctc": {
        "model.architecture": "image-ctc",
        "model.decoder": None,
        "model.position": None,
        "model.fusion": None,
        "model.tie_embeddings": "none",
        "model.image.frames": 2,
        "model.image.registers": 1,
        "model.image.patch_position": {"use": "absolute-cropped", "rows": 2, "columns": 8},
    },
}
TABLE = "encoder.position.table"


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with use_registry(with_glyphs()):
        yield


@pytest.fixture(scope="module", params=KINDS)
def start(
    request: pytest.FixtureRequest, glyph_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, DataHome]:
    """A folder of zoo, whose biases and norms are other numbers than those that they begin with."""
    home = DataHome(tmp_path_factory.mktemp("home"))
    with use_registry(with_glyphs()):
        folder = build(glyph_spec(**KINDS[request.param]), tmp_path_factory.mktemp("start") / "one", home).directory
    tensors = load_file(folder / "model.safetensors")
    draw = torch.Generator().manual_seed(2)
    for tensor in tensors.values():
        tensor += torch.randn(tensor.shape, generator=draw) * 0.1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder, home


@pytest.fixture
def begin(start: tuple[Path, DataHome], glyph_spec: MakeSpec, tmp_path: Path) -> Callable[..., Any]:
    def make(tokenizer: Any = "pretrained", **beside: Any) -> Any:
        own = {"name": "begun", "model": {"from": str(start[0]), **beside}, "tokenizer": tokenizer}
        plain = glyph_spec().plain()
        path = tmp_path / "spec.yaml"
        path.write_text(yaml.safe_dump({**plain, **own}))
        return build(load_spec(path), tmp_path / "built", start[1])

    return make


def test_nothing_changed_is_the_same_model_bit_for_bit(start: tuple[Path, DataHome], begin: Callable[..., Any]) -> None:
    new = begin()
    assert not new.report.new
    assert not new.report.dropped
    old, again = load_file(start[0] / "model.safetensors"), load_file(new.directory / "model.safetensors")
    assert old.keys() == again.keys()
    assert all(torch.equal(old[name], again[name]) for name in old)
    image = new.prepared.task.examples("test")[0].image
    runs = [load_run(folder) for folder in (start[0], new.directory)]
    written = [run.model.eval().generate(**run.model.processor()(image.load()), max_new_tokens=8) for run in runs]
    assert torch.equal(*written)
    text = "abcab"
    assert len({tuple(run.tokenizers.target(text)["input_ids"]) for run in runs}) == 1


def test_other_patch_positions_keep_the_rest(start: tuple[Path, DataHome], begin: Callable[..., Any]) -> None:
    new = begin(graft={"image": {"patch_position": "rotary-2d"}})
    assert new.report.dropped == {TABLE: "encoder position: rotary-2d instead of absolute-cropped"}
    assert not new.report.new
    old, held = load_file(start[0] / "model.safetensors"), new.model.state_dict()
    assert {item.target for item in new.report.kept} == old.keys() - {TABLE}
    assert all(torch.equal(held[item.target], old[item.target]) for item in new.report.kept)


def test_a_larger_table_of_patch_positions_is_new(begin: Callable[..., Any]) -> None:
    new = begin(graft={"image": {"patch_position": {"use": "absolute-cropped", "columns": 9}}})
    assert new.report.new == {TABLE: "encoder position: absolute-cropped with other options"}


def test_another_vocabulary_begins_anew_on_the_same_body(
    start: tuple[Path, DataHome], begin: Callable[..., Any]
) -> None:
    new = begin(tokenizer={"use": "bpe", "vocab_size": 60})
    names = (
        {"lm_head.weight", "lm_head.bias"}
        if "lm_head.bias" in new.model.state_dict()
        else {"decoder.embed_tokens.weight"}
    )
    assert new.report.new == dict.fromkeys(names, "another vocabulary")
    assert {item.target for item in new.report.kept} == load_file(start[0] / "model.safetensors").keys() - names


def test_a_model_of_another_library_is_none_to_begin_reading_images_with(glyph_spec: MakeSpec) -> None:
    plain = glyph_spec().plain()
    ids = {"vocab_size": 9, "pad": 8, "eos": 0, "decoder_start": 8}
    plain["model"]["pretrained"] = {"path": "opus", "type": "marian", "revision": "sha256:" + "0" * 64, **ids}
    with pytest.raises(InputError, match="an image-to-text has no pretrained: leave 'pretrained' out"):
        resolve(plain)
