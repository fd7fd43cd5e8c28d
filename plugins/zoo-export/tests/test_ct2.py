"""What CTranslate2 computes from an export, against its model in torch, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from zoo_export.ct2.exporter import Ctranslate2Exporter
from zoo_export.ct2.vocabulary import texts_of
from zoo_export.options import Ctranslate2Options

from zoo.errors import InputError
from zoo.export.folder import Cache, Decoding, SequencePart, Special
from zoo.export.runtime.ct2 import Ct2Engine
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

SAID: list[Any] = [
    "rotary",
    {"use": "rotary", "layout": "interleaved", "base": 500.0},
    "sinusoidal",
    "t5",
    {"use": "t5", "buckets": 8, "max_distance": 5},
    "none",
    "learned",
    {"use": "shape", "evaluation_offset": 3},
    "alibi",
    {"use": "alibi", "shape": "asymmetric", "slopes": "marian"},
    {"use": "shaw", "clip": 3, "values": True},
    {"use": "shaw", "clip": 3, "values": False},
    {"use": "sum", "of": ["rotary", "alibi", "t5"]},
    {"use": "sum", "of": ["sinusoidal", "learned"]},
]
UNSAID: list[Any] = ["deberta", "transformer-xl", "p-transformer", {"use": "rotary", "values": "inverse"}]


def model_of(**changes: Any) -> Any:
    """Untrained, but with nothing at its initial value: no shift is 0, no gain 1."""
    sizes = {"source_vocabulary_size": changes.pop("source")} if "source" in changes else {}
    model = assemble(resolve_model({**SECTION, **changes}), VOCABULARY, seed=3, **sizes).eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(0.1 * torch.randn(weights.shape, generator=draw))
    return model


def batches(vocabulary: int = VOCABULARY) -> list[dict[str, Any]]:
    draw = torch.Generator().manual_seed(7)
    found = []
    for rows, lengths in ((4, (9, 6, 2, 1)), (1, (1,)), (2, (40, 13))):
        ids = torch.randint(4, vocabulary, (rows, max(lengths)), generator=draw)
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        found.append({"input_ids": ids, "attention_mask": mask.long()})
    return found


def assert_same(model: Any, folder: Path, vocabulary: int = VOCABULARY) -> None:
    exporter = Ctranslate2Exporter(Ctranslate2Options())
    with one_thread():
        exporter.refuse(model)
        exporter.write(model, folder)
        found = exporter.parity(model, folder, batches(vocabulary), max_new_tokens=12)
    assert found.examples == found.same_outputs == 7
    assert found.largest_difference < 2e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"position": {"use": "alibi", "shape": "asymmetric"}, "block": "deep-norm", "embedding_norm": True},
        {"position": {"use": "sum", "of": ["rotary", "t5"]}, "block": "sandwich", "normalization": "rms-norm"},
        {"block": "post-norm", "normalization": {"use": "layer-norm", "bias": False, "eps": 1e-3}, "head_dim": 6},
        {
            "position": "learned",
            "decoder": {"layers": 1, "position": {"use": "shaw", "clip": 3}},
            "feedforward": {"use": "glu", "activation": {"use": "gelu", "form": "tanh"}, "bias": True},
            "tie_embeddings": "decoder",
            "source": VOCABULARY + 5,
            "bias": False,
            "scale_embeddings": False,
            "scale_output": True,
            "output_bias": True,
        },
    ],
    ids=["deep-norm", "sandwich", "post-norm", "two-vocabularies"],
)
def test_logits_and_greedy_outputs_are_torchs(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert_same(model_of(**changes), tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("norm", ["layer-norm", "rms-norm"])
@pytest.mark.parametrize("block", ["pre-norm", "post-norm", "sandwich", "deep-norm", "b2t"])
@pytest.mark.parametrize("position", [*SAID, *UNSAID], ids=str)
def test_every_scheme_in_every_block_is_refused_by_name_or_the_same(
    tmp_path: Path, position: Any, block: str, norm: str
) -> None:
    model = model_of(position=position, block=block, normalization=norm)
    if position in UNSAID or block == "b2t":
        with pytest.raises(InputError, match=r"model\.(position|block): CTranslate2 has no\w* .*'zoo-\w+/[\w-]+'"):
            Ctranslate2Exporter(Ctranslate2Options()).refuse(model)
    else:
        assert_same(model, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", {"use": "gelu", "form": "tanh"}, "silu", "sigmoid"], ids=str)
@pytest.mark.parametrize("layer", ["mlp", "glu"])
def test_every_feedforward_is_the_same(tmp_path: Path, layer: str, activation: Any, bias: bool) -> None:
    assert_same(model_of(feedforward={"use": layer, "activation": activation, "bias": bias}), tmp_path)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"position": "deberta"}, r"model\.position: CTranslate2 has no positions like 'zoo-positional/deberta'"),
        (
            {"decoder": {"layers": 1, "position": {"use": "rotary", "values": "rotate"}}},
            r"model\.decoder\.position: .*'zoo-positional/rotary' with values: rotate",
        ),
        (
            {"position": {"use": "sum", "of": ["sinusoidal", "alibi"]}},
            r"model\.position: CTranslate2 adds no positions to embeddings where attention has any",
        ),
        ({"position": {"use": "sum", "of": ["shaw", "shaw"]}}, r"one table of distances, and 'zoo-positional/shaw'"),
        ({"position": {"use": "sum", "of": ["rotary", "rotary"]}}, r"once, and 'zoo-positional/rotary' stands"),
        ({"block": "b2t"}, r"model\.block: CTranslate2 has nothing like 'zoo-blocks/b2t'"),
        ({"fusion": "transparent"}, r"model\.fusion: CTranslate2 has nothing like 'zoo-fusion/transparent'"),
        ({"output_fusion": "surface-soft"}, r"model\.output_fusion: .*'zoo-fusion/surface-soft'"),
        ({"context_encoder": "gated"}, r"model\.context_encoder: .*'zoo-multi-encoder/gated'"),
        (
            {"decoder": {"layers": 1, "cross_position": "rotary"}},
            r"model\.decoder\.cross_position: .*'zoo-positional/rotary'",
        ),
        (
            {"feedforward": {"use": "glu", "activation": "identity"}},
            r"model\.feedforward\.activation: .*'zoo-blocks/identity'",
        ),
    ],
    ids=str,
)
def test_what_ctranslate2_cannot_say_is_refused_by_name(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        Ctranslate2Exporter(Ctranslate2Options()).refuse(model_of(**changes))


class Odd:
    """A tokenizer whose tokens look alike, and which has fewer than the model has rows."""

    tokens = ("<pad>", "</s>", "<s>", "<unk>", " a", "a", "▁a", "a ", "\n", "", "\r\n", "e\u0301", "é", '"', "\\", "0")
    unk_token_id = 3

    def __len__(self) -> int:
        return len(self.tokens) + 2

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str | None]:
        """One id has no token, and one has another's."""
        return [[*self.tokens, None, "a"][place] for place in ids]


class OddOnBothSides:
    source = target = Odd()
    shared = True


def test_tokens_that_look_alike_stay_apart(tmp_path: Path) -> None:
    texts = texts_of(Odd(), VOCABULARY)
    assert texts[: len(Odd.tokens)] == list(Odd.tokens)
    assert len(set(texts)) == len(texts) == VOCABULARY
    model, exporter = model_of(), Ctranslate2Exporter(Ctranslate2Options())
    with one_thread():
        exporter.write(model, tmp_path, OddOnBothSides())
        found = exporter.parity(model, tmp_path, batches(), max_new_tokens=12)
    assert (found.same_outputs, found.largest_difference < 2e-5) == (7, True)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["eos_token"] == Odd.tokens[int(model.config.eos_token_id)]
    assert config["decoder_start_token"] == Odd.tokens[int(model.config.decoder_start_token_id)]
    assert config["unk_token"] == "<unk>"


def test_a_texts_place_is_not_taken_by_a_text_made_up_for_another() -> None:
    class Taken(Odd):
        tokens = ("<id 1>", "x")

        def __len__(self) -> int:
            return 3

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str | None]:
            return ["<id 1>", None, "<<id 1>>"][: len(ids)]

    assert texts_of(Taken(), 3) == ["<id 1>", "<<<id 1>>>", "<<id 1>>"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, dict[str, int]]]:
    """The folder of one model with weights of some precision, and the bytes of its files."""
    model = model_of(d_model=64)

    def write(weights: str) -> tuple[Path, dict[str, int]]:
        folder = tmp_path_factory.mktemp(weights)
        exporter = Ctranslate2Exporter(Ctranslate2Options.model_validate({"weights": weights}))
        with one_thread():
            return folder, exporter.write(model, folder).sizes

    return write


def test_a_tied_matrix_is_written_once(written: Any) -> None:
    size = written("float32")[1]["model.bin"]
    weights = 4 * sum(item.numel() for item in model_of(d_model=64).parameters())
    assert weights < size < weights + 4 * 64 * 64 + 5000  # the sinusoids, and names


@pytest.mark.parametrize("weights", ["float16", "bfloat16", "int16", "int8", "int8_float16"])
def test_lower_precision_is_smaller_and_computes_nearly_the_same(written: Any, weights: str) -> None:
    whole, sizes = written("float32")
    folder, smaller = written(weights)
    assert smaller["model.bin"] < 0.65 * sizes["model.bin"]
    sources, outputs = [[7, 8, 9, 30, 2], [5]], [[4, 11, 20], [6, 6]]
    expected = Ct2Engine(whole, threads=1).logits(sources, outputs)
    found = Ct2Engine(folder, threads=1).logits(sources, outputs)
    apart = [float(np.abs(one - other).max()) for one, other in zip(expected, found, strict=True)]
    assert [item.shape for item in found] == [(3, VOCABULARY), (2, VOCABULARY)]
    assert 0 < max(apart) < 0.1 * float(np.abs(expected[0]).max())


def sequence_with(strategy: str = "beam", special: dict[str, Any] | None = None, **options: Any) -> SequencePart:
    return SequencePart(
        cache=Cache(layers=1, heads=2, head_width=8),
        vocabulary=VOCABULARY,
        special=Special(start=0, end=1, padding=0, **(special or {})),
        max_source_tokens=64,
        max_target_tokens=64,
        decoding=Decoding(strategy=strategy, options=options, max_new_tokens=20, batch_size=5),
    )


def test_an_export_says_how_its_beams_end_and_notes_where_that_is_another_end_than_the_specs() -> None:
    exporter = Ctranslate2Exporter(Ctranslate2Options())
    patient = sequence_with(width=4, length_penalty=1.0, early_stopping=False)
    changed, notes = exporter.adapted(patient)
    assert changed.decoding.options == {"width": 4, "length_penalty": 1.0, "early_stopping": True}
    assert changed.model_copy(update={"decoding": patient.decoding}) == patient
    assert [note.partition(":")[0] for note in notes] == ["decoding.strategy"]
    assert exporter.adapted(changed) == (changed, ())
    greedy = sequence_with("greedy", special={"banned": [[3]], "forced_bos": 5}, min_new_tokens=2)
    assert exporter.adapted(greedy) == (greedy, ())


def test_a_strategy_that_ctranslate2_does_not_have_is_refused_before_anything_is_written() -> None:
    with pytest.raises(InputError, match=r"decoding\.strategy\.repetition_penalty"):
        Ctranslate2Exporter(Ctranslate2Options()).adapted(sequence_with("greedy", repetition_penalty=1.2))
