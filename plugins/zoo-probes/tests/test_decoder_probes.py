"""Swapped sources, cached steps, cross-attention and gradients against identities and equations written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from transformers import BartConfig, BartForConditionalGeneration, LlamaConfig, LlamaForCausalLM
from zoo_probes.cross_attention_mass import ClassMass
from zoo_probes.gradient_norms import layer_of
from zoo_probes.source_mass import source_share
from zoo_probes.source_swap import cyclic_permutation
from zoo_probes.token_classes import CLASSES, TokenClasses, text_class

from zoo.errors import InputError
from zoo.probes.contracts import ProbeResult
from zoo.probes.reading import CrossAttention, cross_attention
from zoo.testing.tiny_model import TAG, tiny_examples, tiny_tokenizers

Measure = Callable[..., ProbeResult]


def deaf(model: Any) -> Any:
    """The same model, whose cross-attention adds nothing."""
    with torch.no_grad():
        for layer in model.decoder.layers:
            layer.cross_attention.out.weight.zero_()
            layer.cross_attention.out.bias.zero_()
    return model


def test_a_model_that_ignores_its_source_loses_nothing_when_it_is_swapped(make_model: Any, measure: Measure) -> None:
    found = measure("source-swap", deaf(make_model()))
    assert found.scalars["difference"] == 0.0
    assert measure("source-swap", make_model()).scalars["difference"] != 0.0


def test_the_loss_is_the_cross_entropy_of_the_references(make_model: Any, measure: Measure, context: Any) -> None:
    model = make_model()
    found = measure("source-swap", model, batch_size=5).scalars
    total, tokens = 0.0, 0
    with torch.no_grad():
        for batch in context(model, batch_size=1).batches():
            output = model(input_ids=batch.input_ids, labels=batch.labels)
            total, tokens = total + float(output.loss) * batch.labels.numel(), tokens + batch.labels.numel()
    assert found["loss"] == pytest.approx(total / tokens, rel=1e-6)
    assert found["difference"] == pytest.approx(found["swapped_loss"] - found["loss"], abs=1e-12)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_no_example_keeps_its_source(count: int) -> None:
    for seed in range(20):
        order = cyclic_permutation(count, torch.Generator().manual_seed(seed))
        assert sorted(order) == list(range(count))
        assert all(place != other for place, other in enumerate(order))


@pytest.mark.parametrize("position", ["sinusoidal", "rotary", "alibi", "none"])
def test_decoding_from_a_cache_is_the_same(make_model: Any, measure: Measure, position: str) -> None:
    found = measure("cached-decoding", make_model(position))
    assert found.scalars["largest_difference"] < 1e-4
    # The longest reference has eleven words and its end.
    assert found.series["by_step"].x == tuple(range(12))


def test_a_scheme_whose_cached_step_counts_anew_is_found_out(make_model: Any, measure: Measure) -> None:
    found = measure("cached-decoding", make_model("zoo-broken/counts-again"))
    assert found.scalars["largest_difference"] > 0.01
    assert found.scalars["relative"] > 0.005
    assert found.series["by_step"].lines["cached"][0] < 1e-4, "the first step has nothing in its cache"


@pytest.mark.parametrize("architecture", ["causal-lm", "prefix-lm"])
def test_language_models_decode_from_a_cache_too(make_model: Any, measure: Measure, architecture: str) -> None:
    language = {"architecture": architecture, "encoder": None, "fusion": None}
    for size in (16, 1):
        found = measure("cached-decoding", make_model("alibi", **language), batch_size=size)
        assert found.scalars["largest_difference"] < 1e-4
        assert found.series["by_step"].x == tuple(range(12))
    broken = measure("cached-decoding", make_model("zoo-broken/counts-again", **language))
    assert broken.scalars["largest_difference"] > 0.01


def test_classes_of_tokens() -> None:
    tokenizer = tiny_tokenizers().source
    tag = tokenizer.convert_tokens_to_ids(TAG)
    ids = tokenizer(f"{TAG} the cat . « unheard")["input_ids"]
    assert ids[0] == tag
    special = set(tokenizer.all_special_ids)
    tags = set(tokenizer.get_added_vocab().values()) - special
    classes = TokenClasses(tokenizer, special, tags)
    found = [CLASSES[place] for place in classes(torch.tensor([[*ids, tokenizer.pad_token_id]]))[0]]
    assert found == ["tag", "content", "content", "punctuation", "quote", "content", "special", "special"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" ,", "punctuation"),
        ("。", "punctuation"),
        ("「", "quote"),
        ('"', "quote"),
        ("’", "quote"),
        ("the", "content"),
        ("3.5", "content"),
        ("+", "content"),
        ("\N{REPLACEMENT CHARACTER}", "content"),
        (" ", "content"),
    ],
)
def test_class_of_a_text(text: str, expected: str) -> None:
    assert text_class(text) == expected


def test_mass_by_class_is_the_sum_written_out() -> None:
    """One layer, one head, two target tokens, three source tokens of classes content, content, special."""
    weights = torch.tensor([[[[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]]])
    values = torch.tensor([[[[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]]]])  # norms 5, 1, 0
    content, special = CLASSES.index("content"), CLASSES.index("special")
    mass = ClassMass()
    classes = torch.tensor([[content, content, special]])
    mass.add([CrossAttention(weights, values)], classes, torch.ones(1, 3), torch.ones(1, 2, dtype=torch.bool))
    scalars, series = mass.result()
    assert scalars == pytest.approx(
        {
            "content": (0.5 + 0.2) / 2,
            "special": (0.5 + 0.8) / 2,
            "content_weighted": 1.0,
            "special_weighted": 0.0,
            "content_uniform": 2 / 3,
            "special_uniform": 1 / 3,
        }
    )
    assert set(series["by_class"].x) == {"content", "special"}


def test_masses_of_a_model_are_those_of_its_attention_matrices(make_model: Any, measure: Measure, context: Any) -> None:
    model = make_model()
    found = measure("cross-attention-mass", model, batch_size=3)
    for suffix in ("", "_weighted", "_uniform"):
        parts = [found.scalars[f"{name}{suffix}"] for name in CLASSES if f"{name}{suffix}" in found.scalars]
        assert sum(parts) == pytest.approx(1.0, abs=1e-6)
    # The end token is the last real one of each source.
    total = tokens = 0.0
    with torch.no_grad():
        for batch in context(model, batch_size=1).batches():
            for layer in cross_attention(model, batch):
                total += float(layer.weights[..., -1].sum()) / layer.weights.shape[1] / 2
            tokens += batch.labels.numel()
    assert found.scalars["special"] == pytest.approx(total / tokens, rel=1e-5)


def test_hiding_the_sink_is_hiding_those_tokens_from_the_decoder(
    make_model: Any, measure: Measure, context: Any
) -> None:
    model = make_model()
    found = measure("cross-attention-mass", model)
    losses = [0.0, 0.0]
    tokens = 0
    with torch.no_grad():
        for batch in context(model, batch_size=1).batches():
            memory = model.encoder(batch.input_ids)
            tokens += batch.labels.numel()
            for kind, length in enumerate((0, 1)):
                cut = memory.last_hidden_state[:, : batch.input_ids.shape[1] - length]
                logits = model(encoder_outputs=(cut,), decoder_input_ids=batch.decoder_input_ids).logits
                losses[kind] += float(F.cross_entropy(logits[0].double(), batch.labels[0], reduction="sum"))
    assert found.scalars["sink_loss_change"] == pytest.approx((losses[1] - losses[0]) / tokens, abs=1e-6)
    # A class that no source holds is no loss.
    bare = [example for example in tiny_examples() if TAG not in example.source]
    assert measure("cross-attention-mass", model, bare, sink=["tag"]).scalars["sink_loss_change"] == 0.0


def test_a_decoder_that_hears_nothing_has_no_source_mass(make_model: Any, measure: Measure) -> None:
    found = measure("source-mass", deaf(make_model()))
    assert found.scalars["source_share"] == 0.0
    alone = make_model()
    with torch.no_grad():
        for layer in alone.decoder.layers:
            layer.self_attention.out.weight.zero_()
            layer.self_attention.out.bias.zero_()
    found = measure("source-mass", alone, steps=4)
    assert found.scalars["source_share"] == 1.0
    assert found.series["by_step"].x == (0, 1, 2, 3)
    assert found.series["by_step"].lines["mean over layers"] == [1.0] * 4


def test_the_source_share_is_a_ratio_of_norms() -> None:
    shares = source_share(torch.tensor([3.0, 0.0, 0.0]), torch.tensor([1.0, 2.0, 0.0]))
    assert shares.tolist() == [0.75, 0.0, 0.0]


def test_source_mass_of_batches_of_unlike_length_is_that_of_single_sentences(make_model: Any, measure: Measure) -> None:
    model = make_model()
    one, many = (measure("source-mass", model, batch_size=size) for size in (1, 5))
    assert one.scalars == pytest.approx(many.scalars, rel=1e-6)
    lines = [found.series["by_step"].lines["mean over layers"] for found in (one, many)]
    assert lines[0] == pytest.approx(lines[1], rel=1e-6)


def test_gradient_norms_are_those_of_backward(make_model: Any, measure: Measure, context: Any) -> None:
    model = make_model()
    found = measure("gradient-norms", model)
    assert all(item.grad is None for item in model.parameters())
    (batch,) = context(model, batch_size=16).batches()
    output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels)
    output.loss.backward()

    def norm(prefix: str) -> float:
        named = [item.grad for name, item in model.named_parameters() if name.startswith(prefix)]
        return math.sqrt(sum(float(grad.double().square().sum()) for grad in named if grad is not None))

    assert found.scalars["total"] == pytest.approx(norm(""), rel=1e-6)
    for stack in ("encoder", "decoder"):
        line = found.series["by_layer"].lines[stack]
        assert line == pytest.approx([norm(f"{stack}.layers.{depth}.") for depth in (0, 1)], rel=1e-6)
        assert found.scalars[f"{stack}_first_to_last"] == pytest.approx(line[0] / line[1], rel=1e-9)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("encoder.layers.3.block.norms.0.weight", ("encoder", 3)),
        ("model.decoder.layers.11.self_attn.q_proj.weight", ("decoder", 11)),
        ("encoder.block.2.layer.1.DenseReluDense.wi.weight", ("encoder", 2)),
        ("transformer.h.5.attn.c_attn.weight", ("layers", 5)),
        ("encoder.embed_tokens.weight", None),
        ("lm_head.weight", None),
    ],
)
def test_the_layer_of_a_parameter(name: str, place: tuple[str, int] | None) -> None:
    assert layer_of(name) == place


class Sequences(LlamaForCausalLM):  # type: ignore[misc]
    """transformers' language model, with what a zoo skeleton says of itself."""

    arrangement = "sequence"
    separator = 2

    def target_logits(self, encoded: dict[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """One row after another, without padding."""
        rows = []
        for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], labels, strict=True):
            source = ids[: int(mask.sum()) - 1]
            read = torch.cat((source, torch.tensor([self.separator]), label[:-1].clamp_min(0)))
            rows.append(self(input_ids=read[None]).logits[0, len(source) :])
        return torch.stack(rows)


def language_model() -> Any:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizers().source), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, pad_token_id=0, bos_token_id=2, eos_token_id=1,
    )  # fmt: skip
    return Sequences(config).double().eval()


def test_the_source_mass_of_a_language_model_is_attention_before_the_separator(measure: Measure) -> None:
    """With equal logits each token looks at everything before it alike: s of s + 1 + t tokens are source."""
    model = language_model()
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight.zero_()
    examples = tiny_examples()
    found = measure("source-mass", model, examples, batch_size=5, steps=3)
    tokenizer = tiny_tokenizers().source
    lengths = [
        (len(tokenizer(item.source)["input_ids"]) - 1, len(tokenizer(item.target)["input_ids"])) for item in examples
    ]
    expected = [sum(s / (s + 1 + t) for s, _ in lengths) / len(lengths) for t in range(3)]
    assert found.series["by_step"].lines["mean over layers"] == pytest.approx(expected, rel=1e-6)
    whole = [s / (s + 1 + t) for s, length in lengths for t in range(length)]
    assert found.scalars["source_share"] == pytest.approx(sum(whole) / len(whole), rel=1e-6)


def test_source_swap_and_gradients_read_language_models_too(measure: Measure) -> None:
    model = language_model()
    assert measure("source-swap", model).scalars["difference"] != 0.0
    found = measure("gradient-norms", model)
    assert set(found.series["by_layer"].lines) == {"layers"}
    assert found.scalars["total"] > 0


@pytest.mark.parametrize("name", ["shift", "reversal", "index-r2", "cross-attention-mass"])
def test_a_probe_that_reads_an_encoder_refuses_a_model_without_one(measure: Measure, name: str) -> None:
    with pytest.raises(InputError, match=f"the probe '{name}' reads an encoder, and Sequences has none"):
        measure(name, language_model())


def test_probes_read_transformers_own_encoder_decoders(measure: Measure) -> None:
    """What grafting makes of a pretrained model: BART, whose attention modules and caches are named otherwise."""
    torch.manual_seed(3)
    size = {
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
    }
    config = BartConfig(
        vocab_size=len(tiny_tokenizers().source), encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
        pad_token_id=0, bos_token_id=2, eos_token_id=1, decoder_start_token_id=0, **size,
    )  # fmt: skip
    model = BartForConditionalGeneration(config).double().eval()
    before = model.config._attn_implementation
    assert measure("cached-decoding", model).scalars["largest_difference"] < 1e-9
    mass = measure("cross-attention-mass", model).scalars
    assert sum(mass[name] for name in CLASSES if name in mass) == pytest.approx(1.0)
    assert model.config._attn_implementation == before
    assert 0 < measure("source-mass", model).scalars["source_share"] < 1
    assert measure("reversal", model).scalars["difference"] > 0
    assert len(measure("gradient-norms", model).series["by_layer"].lines["decoder"]) == 2
    assert measure("embedding-norms", model).scalars["source_mean"] > 0
    with pytest.raises(InputError, match="cannot move the positions of BartEncoder"):
        measure("shift", model)
