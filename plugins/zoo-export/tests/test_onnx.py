"""What an ONNX export computes, against its model in torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from zoo_export.onnx_exporter import OnnxExporter
from zoo_export.options import OnnxOptions

from zoo.errors import InputError
from zoo.export.folder import ENCODER, FIRST_STEP, NEXT_STEP
from zoo.models import assemble
from zoo.spec import resolve_model
from zoo.testing.surroundings import one_thread

SECTION: dict[str, Any] = {
    "d_model": 16,
    "heads": 2,
    "encoder": {"layers": 2},
    "decoder": {"layers": 2},
    "position": "sinusoidal",
    "block": "pre-norm",
    "normalization": "layer-norm",
    "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
    "fusion": "top",
    "max_positions": 64,
}
VOCABULARY = 40
SCHEMES: list[Any] = [
    "rotary",
    "sinusoidal",
    "t5",
    "none",
    "learned",
    {"use": "shape", "evaluation_offset": 0},
    "alibi",
    "deberta",
    "transformer-xl",
    "p-transformer",
    {"use": "shaw", "values": True},
    {"use": "rotary", "values": "inverse"},
    {"use": "sum", "of": ["rotary", "alibi"]},
]


def model_of(**changes: Any) -> Any:
    return assemble(resolve_model({**SECTION, **changes}), VOCABULARY, seed=3).eval()


def batches() -> list[dict[str, Any]]:
    """Sources of other sizes than those that are traced, one of them of a single token."""
    draw = torch.Generator().manual_seed(7)
    found = []
    for rows, lengths in ((4, (9, 6, 2, 1)), (1, (1,)), (2, (13, 13))):
        ids = torch.randint(4, VOCABULARY, (rows, max(lengths)), generator=draw)
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        found.append({"input_ids": ids, "attention_mask": mask.long()})
    return found


def assert_same(model: Any, folder: Path, **options: Any) -> None:
    exporter = OnnxExporter(OnnxOptions.model_validate(options))
    exporter.refuse(model)
    exporter.write(model, folder)
    found = exporter.parity(model, folder, batches(), max_new_tokens=12)
    assert found.examples == 7
    assert found.largest_difference < 2e-5
    assert found.same_outputs == 7


@pytest.mark.soak
@pytest.mark.parametrize("position", SCHEMES, ids=str)
def test_steps_from_the_cache_give_torchs_logits_and_outputs_with_every_scheme(tmp_path: Path, position: Any) -> None:
    assert_same(model_of(position=position), tmp_path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose fusion reads every layer, and whose sides have vocabularies of their own, compared with torch."""
    folder = tmp_path_factory.mktemp("exported")
    section = {**SECTION, "fusion": "transparent", "tie_embeddings": "decoder"}
    model = assemble(resolve_model(section), VOCABULARY, seed=3, source_vocabulary_size=VOCABULARY + 5).eval()
    assert model.encoder.keep_layers
    with one_thread():
        assert_same(model, folder)
    return folder


@pytest.mark.slow
def test_names_and_shapes_are_those_that_optimum_reads_and_nothing_tells_where_it_was_made(exported: Path) -> None:
    cpu = ["CPUExecutionProvider"]
    names = (ENCODER, FIRST_STEP, NEXT_STEP)
    sessions = {name: onnxruntime.InferenceSession(exported / name, providers=cpu) for name in names}
    assert [item.name for item in sessions[ENCODER].get_inputs()] == ["input_ids", "attention_mask"]
    assert [item.name for item in sessions[ENCODER].get_outputs()] == ["last_hidden_state"]
    assert {item.name for item in sessions[FIRST_STEP].get_inputs()} == {
        "input_ids",
        "encoder_hidden_states",
        "encoder_attention_mask",
    }
    made = [item.name for item in sessions[FIRST_STEP].get_outputs()]
    assert made[:5] == [
        "logits",
        "present.0.decoder.key",
        "present.0.decoder.value",
        "present.0.encoder.key",
        "present.0.encoder.value",
    ]
    kept = {item.name for item in sessions[NEXT_STEP].get_inputs()} - {"input_ids", "encoder_attention_mask"}
    assert kept == {name.replace("present", "past_key_values") for name in made[1:]}
    assert str(Path(__file__).parents[3]).encode() not in (exported / NEXT_STEP).read_bytes()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"output_fusion": "surface-soft"}, r"model\.output_fusion: a model with 'zoo-fusion/surface-soft'"),
        ({"context_encoder": "gated"}, r"model\.context_encoder: a model with 'zoo-multi-encoder/gated'"),
    ],
)
def test_what_no_graph_says_yet_is_refused_by_name(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        OnnxExporter(OnnxOptions()).refuse(model_of(**changes))


def test_an_architecture_without_two_stacks_is_refused() -> None:
    section = {name: value for name, value in SECTION.items() if name not in {"encoder", "fusion"}}
    model = assemble(resolve_model({**section, "architecture": "causal-lm"}), VOCABULARY, seed=3)
    with pytest.raises(InputError, match="'causal-lm' cannot be exported to ONNX yet"):
        OnnxExporter(OnnxOptions()).refuse(model)
