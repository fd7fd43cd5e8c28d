"""What an ONNX export computes, against its model in torch."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from zoo_export.onnx_exporter import OnnxExporter
from zoo_export.options import OnnxOptions

from zoo.errors import InputError
from zoo.export.folder import ENCODER, FIRST_STEP, LEAN_STEP, NEXT_STEP, PREALLOCATED, SHARED_MEMORY
from zoo.models import assemble
from zoo.models.contracts import Fusion, Memory
from zoo.spec import resolve_model
from zoo.spec.options import NoOptions
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
BOTH = {PREALLOCATED, SHARED_MEMORY}
SCHEMES: list[tuple[Any, set[str]]] = [
    ("rotary", BOTH),
    ("sinusoidal", BOTH),
    ("t5", BOTH),
    ("none", BOTH),
    ("learned", BOTH),
    ({"use": "shape", "evaluation_offset": 0}, BOTH),
    ("alibi", BOTH),
    ("deberta", set()),
    ("transformer-xl", set()),
    ("p-transformer", {PREALLOCATED}),
    ({"use": "shaw", "values": True}, set()),
    ({"use": "rotary", "values": "inverse"}, BOTH),
    ({"use": "sum", "of": ["rotary", "alibi"]}, BOTH),
]
"""Schemes, and what a lean step does for them: what torch's fused attention computes, with a bias or not."""


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


def assert_same(model: Any, folder: Path, given: list[dict[str, Any]] | None = None, **options: Any) -> None:
    exporter = OnnxExporter(OnnxOptions.model_validate(options))
    exporter.refuse(model)
    exporter.write(model, folder)
    found = exporter.parity(model, folder, batches() if given is None else given, max_new_tokens=12)
    assert found.examples == 7
    assert found.largest_difference < 2e-5
    assert found.same_outputs == 7


def done_by_lean_steps(folder: Path) -> set[str]:
    """What `zoo_export.lean_steps` says in the graph that it wrote; nothing where it wrote none."""
    if not (folder / LEAN_STEP).exists():
        return set()
    return {item.key for item in onnx.load(folder / LEAN_STEP, load_external_data=False).metadata_props}


@pytest.mark.soak
@pytest.mark.parametrize(("position", "lean"), SCHEMES, ids=str)
def test_steps_from_the_cache_give_torchs_logits_and_outputs_with_every_scheme(
    tmp_path: Path, position: Any, lean: set[str]
) -> None:
    assert_same(model_of(position=position), tmp_path)
    assert done_by_lean_steps(tmp_path) == lean


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
    assert done_by_lean_steps(exported) == BOTH
    assert str(Path(__file__).parents[3]).encode() not in (exported / NEXT_STEP).read_bytes()


def contexts(batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The batches with contexts of 6, 3, 0 and 1 tokens; the second has none at all."""
    draw, lengths = torch.Generator().manual_seed(5), torch.tensor([6, 3, 0, 1])
    for batch in (batches[0], batches[2]):
        rows = len(batch["input_ids"])
        batch["context_input_ids"] = torch.randint(4, VOCABULARY, (rows, 6), generator=draw)
        batch["context_attention_mask"] = (torch.arange(6) < lengths[:rows, None]).long()
    return batches


class HidesTheFirst(Fusion):
    """The second layer's memory has no first token, where there is another, and is another memory than the first's."""

    needs_all_layers = False

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        top = layer_states[:, -1]  # [B, S, D]
        real = top.new_ones(top.shape[:2], dtype=torch.bool) if mask is None else mask.clone()
        if decoder_layer:
            lone = real.sum(-1, keepdim=True) < 2  # [B, 1]
            real = torch.cat((real[:, :1] & lone, real[:, 1:]), dim=1)  # [B, S]
        return Memory(top * (1 + decoder_layer), top, real)


def hiding(model: Any) -> Any:
    model.decoder.fusion = HidesTheFirst(NoOptions(), model.decoder.fusion.context)
    return model


@pytest.mark.slow
def test_what_a_step_needs_of_the_source_is_carried_to_it(tmp_path: Path) -> None:
    """The masks of a fusion; the source's embeddings and states, and the scores as they are, of an output fusion; a
    context's keys and values, where there is one."""
    model = hiding(model_of(output_fusion="surface-hard", context_encoder="inside"))
    with one_thread():
        assert_same(model, tmp_path, contexts(batches()))
    assert done_by_lean_steps(tmp_path) == {PREALLOCATED}


CARRIED = {
    "surface-soft behind every layer": {"output_fusion": "surface-soft", "fusion": "transparent"},
    "gated": {"context_encoder": "gated"},
    "outside": {"context_encoder": "outside"},
    "cross-attention with positions": {"decoder": {"layers": 2, "cross_position": "deberta"}},
    "ignored": {"context_encoder": {"use": "inside", "context": "ignored"}},
}


@pytest.mark.soak
@pytest.mark.parametrize("name", CARRIED)
def test_each_kind_of_context_and_output_fusion_gives_torchs_logits(tmp_path: Path, name: str) -> None:
    changes = CARRIED[name]
    assert_same(model_of(**changes), tmp_path, contexts(batches()) if "context_encoder" in changes else None)


def language_model(**changes: Any) -> Any:
    section = {name: value for name, value in SECTION.items() if name not in {"encoder", "fusion"}}
    return assemble(resolve_model({**section, **changes}), VOCABULARY, seed=3).eval()


@pytest.mark.soak
@pytest.mark.parametrize(
    ("position", "architecture"),
    [(scheme, kind) for (scheme, _), kind in zip(SCHEMES, cycle(["prefix-lm", "causal-lm"]), strict=False)],
    ids=str,
)
def test_language_models_go_on_from_the_cache_with_every_scheme(
    tmp_path: Path, position: Any, architecture: str
) -> None:
    found = batches()
    for batch in found:
        ends = batch["attention_mask"].sum(-1, keepdim=True) - 1
        batch["input_ids"].scatter_(1, ends, 1)  # as tokenizers end a source
    assert_same(language_model(architecture=architecture, position=position), tmp_path, found)


@pytest.mark.parametrize("context", ["shuffled", "gaussian"])
def test_a_context_of_another_sentence_is_refused_by_name(context: str) -> None:
    model = model_of(context_encoder={"use": "gated", "context": context})
    with pytest.raises(InputError, match=rf"model\.context_encoder: 'zoo-multi-encoder/gated' with context: {context}"):
        OnnxExporter(OnnxOptions()).refuse(model)
