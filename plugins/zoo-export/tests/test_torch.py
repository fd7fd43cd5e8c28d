"""Models of each kind in another precision, against themselves in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from zoo_export.options import TorchOptions
from zoo_export.torch_exporter import TorchExporter

from zoo.errors import InputError
from zoo.export.contracts import Parity, RefusedError
from zoo.models import ZooImageProcessor, assemble, load_model
from zoo.models.decoding import run_generate
from zoo.models.modes import evaluating
from zoo.spec import resolve_model
from zoo.testing.in_a_model import moved
from zoo.testing.in_an_image_model import some_image
from zoo.testing.surroundings import one_thread

VOCABULARY = 40
TEXT: dict[str, Any] = {
    "d_model": 16,
    "heads": 2,
    "encoder": {"layers": 1},
    "decoder": {"layers": 1},
    "position": "rotary",
    "block": "pre-norm",
    "normalization": "layer-norm",
    "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
    "fusion": "top",
    "max_positions": 64,
}
IMAGE = {"input": "native", "patch": {"height": 8, "width": 8}, "patch_position": "rotary-2d"}
OF_CTC = {"architecture": "image-ctc", "tie_embeddings": "none"}
MATCHER = {"use": "hungarian", "class_form": "focal", "class_cost": 2.0, "box_loss": "giou"}
SMALL = {"matcher": MATCHER, "box_loss": "ciou", "width": 8, "d_model": 16, "heads": 2, "feedforward": 32}
QUERIES = {**SMALL, "decoder_layers": 2, "expansion": 0.5, "queries": 20, "denoising": 8}
DETECTORS: dict[str, dict[str, Any]] = {
    "anchor-free": {"matcher": "task-aligned", "box_loss": "ciou", "width": 8, "neck": 16, "head_blocks": 1},
    "detr": {**SMALL, "encoder_layers": 1, "decoder_layers": 2, "queries": 8, "stride": 16},
    "rt-detr": QUERIES,
    "d-fine": QUERIES,
}
CLASSES = {"categories": [3, 8, 11], "id2label": {0: "line", 1: "figure", 2: "table"}}


def without(section: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in section.items() if name not in names}


def text_model() -> Any:
    return moved(assemble(resolve_model(TEXT), VOCABULARY, seed=3))


def prefix_lm() -> Any:
    section = without({**TEXT, "architecture": "prefix-lm"}, "encoder", "fusion")
    return moved(assemble(resolve_model(section), VOCABULARY, seed=3))


def image_to_text() -> Any:
    section = {**TEXT, "architecture": "image-to-text", "position": "sinusoidal", "image": IMAGE}
    return moved(assemble(resolve_model(section), VOCABULARY, seed=3))


def image_ctc() -> Any:
    section = without({**TEXT, **OF_CTC, "image": IMAGE}, "decoder", "position", "fusion")
    return moved(assemble(resolve_model(section), VOCABULARY, seed=3))


def detector(name: str) -> Callable[[], Any]:
    def model() -> Any:
        plain = {"architecture": "detector", "detector": {"use": name, **DETECTORS[name]}, "pixels": {"multiple": 8}}
        return moved(assemble(resolve_model(plain), 3, seed=1, token_ids=CLASSES))

    return model


MODELS: dict[str, Callable[[], Any]] = {
    "encoder-decoder": text_model,
    "prefix-lm": prefix_lm,
    "image-to-text": image_to_text,
    "image-ctc": image_ctc,
    **{name: detector(name) for name in DETECTORS},
}


def batch_of(model: Any) -> dict[str, Any]:
    """Sources of several lengths, or images of several sizes, padded."""
    draw = torch.Generator().manual_seed(7)
    if model.finds_boxes:
        pixels, mask = torch.zeros(3, 3, 64, 96), torch.zeros(3, 64, 96)
        for number, (rows, columns) in enumerate([(64, 90), (40, 96), (17, 20)]):
            pixels[number, :, :rows, :columns] = torch.randn(3, rows, columns, generator=draw)
            mask[number, :rows, :columns] = 1
        return {"pixel_values": pixels, "pixel_mask": mask.bool()}
    if model.reads == "image":
        images = [some_image(*size) for size in ((13, 70), (40, 20), (9, 9))]
        return dict(ZooImageProcessor(model.section.image.plain())(images, return_tensors="pt"))
    lengths = torch.tensor([9, 6, 1])
    ids = torch.randint(4, VOCABULARY, (3, 9), generator=draw)
    return {"input_ids": ids, "attention_mask": (torch.arange(9) < lengths[:, None]).long()}


def compared(model: Any, folder: Path, weights: Any, given: Any = None) -> Parity:
    """What is written of `model` in that precision, beside it or another one that is `given`."""
    exporter = TorchExporter(TorchOptions(weights=weights))
    exporter.refuse(model)
    with one_thread():
        written = exporter.write(model, folder)
        assert written.kind == "torch"
        assert bool(written.changed) == (weights != "float32")
        return exporter.parity(given or model, folder, [batch_of(model)], max_new_tokens=8)


@pytest.mark.parametrize("kind", ["encoder-decoder", "image-ctc", "anchor-free"])
def test_in_float32_it_is_the_model_itself(tmp_path: Path, kind: str) -> None:
    """Step by step from the cache as in one pass."""
    found = compared(MODELS[kind](), tmp_path, "float32")
    assert (found.examples, found.same_outputs) == (3, 3)
    assert found.largest_difference < 1e-5


@pytest.mark.parametrize("weights", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in DETECTORS else []) for kind in MODELS]
)
def test_every_kind_is_held_read_and_run_in_its_precision(tmp_path: Path, kind: str, weights: str) -> None:
    """Every number on disk is the model's own, rounded once; what is computed of them is finite and near."""
    model = MODELS[kind]()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = compared(model, tmp_path, weights)
    dtype = getattr(torch, weights)
    held = load_model(tmp_path)
    assert held.dtype == dtype
    for name, tensor in held.state_dict().items():
        expected = before[name].to(dtype) if before[name].is_floating_point() else before[name]
        assert torch.equal(tensor, expected), name
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert found.examples == 3
    assert found.mean_difference is not None
    assert 0 < found.mean_difference < 0.1
    assert found.largest_difference < (1.01 if model.finds_boxes else 1.0)  # queries may be of other places


@pytest.mark.parametrize("kind", ["encoder-decoder", "prefix-lm", "image-to-text", "image-ctc"])
def test_outputs_are_counted_as_same_where_both_write_the_same(tmp_path: Path, kind: str) -> None:
    """Another model's weights in the folder: greedy outputs of the two, written apart, tell how many are."""
    model, other = MODELS[kind](), MODELS[kind]()
    with torch.no_grad():
        for place, parameter in enumerate(other.parameters()):
            draw = torch.Generator().manual_seed(place)
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=draw))
    found = compared(other, tmp_path, "float32", given=model)
    batch = batch_of(model)
    rows = []
    for one in (model, load_model(tmp_path)):
        with evaluating(one), torch.no_grad(), one_thread():
            prompts = one.prompts(batch)
            rows.append(one.written(run_generate(one, prompts, {}, max_new_tokens=8), prompts).tolist())
    end = model.config.eos_token_id
    texts = [[row[: row.index(end)] if end in row else row for row in of_one] for of_one in rows]
    assert found.same_outputs == sum(map(list.__eq__, *texts))
    assert found.same_outputs < found.examples
    assert found.largest_difference > 0.1


def test_what_torch_cannot_compute_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("\"slow_conv2d_cpu\" not implemented for 'Half'")

    model = text_model()
    exporter = TorchExporter(TorchOptions(weights="float16"))
    exporter.write(model, tmp_path)
    monkeypatch.setattr("zoo_export.torch_exporter.compared", refuse)
    with pytest.raises(RefusedError, match="torch does not run it in float16 .*slow_conv2d_cpu") as caught:
        exporter.parity(model, tmp_path, [], max_new_tokens=8)
    assert caught.value.operator == "slow_conv2d_cpu"
    assert exporter.weaker() is None


def test_what_has_no_form_in_torch_is_refused_by_name() -> None:
    section = {"architecture": "generator", "generator": {"use": "consistency", "width": 4, "teacher_steps": 3}}
    generator = assemble(resolve_model(section), 1, seed=1, token_ids={"image_size": [16, 16]})
    with pytest.raises(InputError, match="architecture 'generator' has no export"):
        TorchExporter(TorchOptions()).refuse(generator)
