"""Replacing parts of a pretrained model: which weights stay, which are new, and that nothing else changes."""

from __future__ import annotations

import pytest
import torch
from checkpoints import saved_names
from safetensors.torch import load_file, save_file

from zoo.errors import InputError
from zoo.models import assemble
from zoo.models.pretrained import graft_weights
from zoo.spec import load_spec

NORMS = ("block.norms", "final_norm", "embedding_norm")
OWN = {
    "marian": {
        "position": {"use": "sinusoidal", "layout": "halves"},
        "block": "post-norm",
        "normalization": "layer-norm",
        "feedforward": {"use": "mlp", "activation": "silu"},
        "fusion": "top",
    },
    "bart": {
        "position": "learned",
        "encoder": {"position": "learned"},
        "decoder": {"position": "zoo-positional/learned"},
        "block": "post-norm",
        "normalization": {"use": "layer-norm", "eps": 1e-5},
        "feedforward": "mlp",
    },
    "t5": {"position": "t5", "block": "pre-norm", "normalization": "rms-norm", "feedforward": {"activation": "relu"}},
    "t5-gated": {"position": "t5", "feedforward": {"use": "glu", "activation": {"form": "tanh"}}},
}
GRAFTS = [
    ("marian", {"position": "rotary"}, ()),
    ("marian", {"decoder": {"position": "alibi"}}, ()),
    ("marian", {"normalization": "rms-norm"}, NORMS),
    ("marian", {"feedforward": {"activation": "gelu"}}, ()),
    ("marian", {"feedforward": "swiglu"}, ("feedforward",)),
    ("marian", {"block": "pre-norm"}, NORMS),
    ("bart", {"position": "rotary"}, ()),
    ("bart", {"encoder": {"position": "alibi"}, "normalization": "rms-norm"}, NORMS),
    ("marian", {"position": "learned"}, ("position",)),
    ("t5", {"encoder": {"position": "rotary"}}, ()),
    ("t5-gated", {"normalization": "layer-norm", "position": "alibi"}, NORMS),
]


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("kind", OWN)
def test_its_own_scheme_grafted_back_changes_no_logit(kind, checkpoint, read, batch):
    folder = checkpoint(kind)
    plain, grafted = read(folder), read(folder, OWN[kind])
    inputs = batch(plain.section.pretrained)
    assert torch.equal(logits(grafted.model, inputs), logits(plain.model, inputs))
    assert not grafted.report.new
    assert not grafted.report.dropped


@pytest.mark.parametrize(("kind", "graft", "new"), GRAFTS, ids=lambda value: str(value)[:40])
def test_a_graft_changes_its_own_weights_alone(kind, graft, new, checkpoint, read, batch, fresh):
    folder = checkpoint(kind)
    plain, grafted = read(folder), read(folder, graft)
    before, start, after = (
        model.state_dict() for model in (plain.model, fresh(grafted.section, folder), grafted.model)
    )
    inputs = batch(plain.section.pretrained)
    assert (logits(grafted.model, inputs) - logits(plain.model, inputs)).abs().max() > 1e-3
    for name in grafted.report.new:
        assert any(part in name for part in new)
        assert torch.equal(after[name], start[name])
    for item in grafted.report.kept:
        assert torch.equal(after[item.target], before[item.target])
    # The report is complete, on both sides.
    kept = [item.target for item in grafted.report.kept]
    assert sorted([*kept, *grafted.report.new]) == saved_names(grafted.model)
    sources = [name for item in grafted.report.kept for name in item.sources]
    assert sorted({*sources, *grafted.report.dropped}) == sorted(load_file(folder / "model.safetensors"))
    assert not set(sources) & set(grafted.report.dropped)
    numbers = {name: tensor.numel() for name, tensor in after.items()}
    assert grafted.report.parameters == {
        "kept": sum(numbers[name] for name in kept),
        "new": sum(numbers[name] for name in grafted.report.new),
    }


def test_the_report_names_every_weight_and_why(checkpoint, read):
    report = read(checkpoint("bart"), {"position": "rotary", "feedforward": "swiglu"}).report
    plain = report.plain()
    qkv = next(item for item in plain["kept"] if item["to"] == "encoder.layers.0.self_attention.qkv.weight")
    assert qkv["from"] == [f"model.encoder.layers.0.self_attn.{part}_proj.weight" for part in "qkv"]
    dropped = {item["from"]: item["because"] for item in plain["dropped"]}
    assert dropped["model.encoder.embed_positions.weight"] == "encoder position: rotary instead of learned"
    assert dropped["model.decoder.layers.2.fc1.bias"] == "feedforward: swiglu instead of mlp"
    new = {item["to"]: item["because"] for item in plain["new"]}
    assert new["decoder.layers.1.feedforward.gate.weight"] == "feedforward: swiglu instead of mlp"
    text = "\n".join(report.lines())
    assert f"{len(report.kept)} tensors kept" in text
    assert "new, feedforward: swiglu instead of mlp: encoder.layers.0.feedforward.gate.weight" in text


def test_a_grafted_model_decodes_from_its_cache_as_without(checkpoint, read, batch):
    section, model, _ = read(checkpoint("bart"), {"position": "rotary", "normalization": "rms-norm"})
    inputs = batch(section.pretrained)
    source = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    options = {"num_beams": 2, "max_new_tokens": 9, "no_repeat_ngram_size": 2}
    cached, whole = (model.generate(**source, **options, use_cache=use) for use in (True, False))
    assert cached.tolist() == whole.tolist()


def test_other_options_that_change_a_shape_make_it_new(checkpoint, read):
    report = read(checkpoint("marian"), {"feedforward": {"width": 20}, "normalization": {"bias": False}}).report
    assert report.new["encoder.layers.0.feedforward.up.weight"] == "feedforward: mlp with other options"
    assert "encoder.layers.0.feedforward.down.bias" not in report.new
    assert "encoder.layers.0.block.norms.0.weight" not in report.new
    reason = "normalization: layer-norm with other options"
    assert report.dropped["model.encoder.layers.0.self_attn_layer_norm.bias"] == reason


def test_another_max_positions_makes_learned_tables_new(checkpoint, read):
    report = read(checkpoint("bart"), model={"max_positions": 100}).report
    assert report.new == dict.fromkeys(["encoder.position.table", "decoder.position.table"], "another max_positions")


def test_tokens_that_are_added_get_rows_behind_the_pretrained_ones(checkpoint, write_spec):
    folder = checkpoint("marian")
    section = load_spec(write_spec(folder)).model
    size = section.pretrained.vocab_size
    model = assemble(section, size + 3, seed=1)
    start = model.encoder.embed_tokens.weight.detach().clone()
    report = graft_weights(model, section)
    rows = {item.target: item.new_rows for item in report.kept if item.new_rows}
    assert rows == {"encoder.embed_tokens.weight": 3, "output_bias": 3}
    assert torch.equal(model.encoder.embed_tokens.weight[size:], start[size:])
    assert torch.equal(
        model.encoder.embed_tokens.weight[:size], load_file(folder / "model.safetensors")["model.shared.weight"]
    )
    assert model.output_bias[size:].tolist() == [0, 0, 0]
    assert report.parameters["new"] == 3 * 32 + 3


def test_another_vocabulary_keeps_the_rest(checkpoint, write_spec):
    folder = checkpoint("bart")
    section = load_spec(write_spec(folder)).model
    model = assemble(section, 50, seed=1)
    report = graft_weights(model, section, vocabulary_kept=False)
    assert report.new == dict.fromkeys(["output_bias", "encoder.embed_tokens.weight"], "another vocabulary")
    dropped = {"final_logits_bias", "model.shared.weight"}
    assert {name: report.dropped.get(name) for name in dropped} == dict.fromkeys(dropped, "another vocabulary")
    assert set(report.dropped) == dropped


def test_a_tied_matrix_may_stand_in_the_file_under_any_of_its_names(checkpoint, read, rewritten):
    def renamed(tensors):
        tensors["lm_head.weight"] = tensors["model.shared.weight"].clone()
        tensors["model.decoder.embed_tokens.weight"] = tensors.pop("model.shared.weight")

    folder = rewritten(checkpoint("bart"), renamed)
    found, plain = read(folder), read(checkpoint("bart"))
    assert torch.equal(found.model.lm_head.weight, plain.model.lm_head.weight)
    kept = next(item for item in found.report.kept if item.target == "encoder.embed_tokens.weight")
    assert set(kept.sources) == {"model.decoder.embed_tokens.weight", "lm_head.weight"}
    assert not found.report.dropped


def test_weights_saved_without_an_output_layer_are_read(checkpoint, read, rewritten, batch):
    def bare(tensors):
        del tensors["final_logits_bias"]
        for name in list(tensors):
            tensors[name.removeprefix("model.")] = tensors.pop(name)

    found, plain = read(rewritten(checkpoint("bart"), bare)), read(checkpoint("bart"))
    assert found.report.new == {"output_bias": "not in the checkpoint"}
    assert torch.equal(
        found.model.decoder.layers[0].feedforward.up.weight, plain.model.decoder.layers[0].feedforward.up.weight
    )


def test_weights_that_nobody_reads_are_on_the_report(checkpoint, read, rewritten):
    extra = {"classification_head.dense.weight": torch.zeros(2, 2)}
    report = read(rewritten(checkpoint("bart"), lambda tensors: tensors.update(extra))).report
    assert report.dropped == {"classification_head.dense.weight": "not read by this model"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("model.encoder.layers.1.fc1.bias"), "lacks the weights 'encoder.layers.1.fc1.bias'"),
        (
            lambda t: t.update({"lm_head.weight": t["model.shared.weight"] + 1}),
            "is not 'model.shared.weight', to which",
        ),
        (
            lambda t: t.update({"model.encoder.layers.0.fc1.weight": torch.zeros(47, 32)}),
            "expected the shape [48, 32] for encoder.layers.0.feedforward.up.weight, found [47, 32]",
        ),
        (
            lambda t: t.update({"model.encoder.layers.0.fc1.bias": torch.zeros(48, dtype=torch.int8)}),
            "expected floating-point weights, found torch.int8",
        ),
    ],
    ids=["missing", "untied", "shape", "quantised"],
)
def test_a_checkpoint_that_is_not_what_it_says_is_refused_in_one_line(change, told, checkpoint, read, rewritten):
    with pytest.raises(InputError) as error:
        read(rewritten(checkpoint("bart"), change))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_damaged_file_is_refused_in_one_line(checkpoint, read, rewritten, write_spec):
    folder = rewritten(checkpoint("bart"), lambda tensors: None)
    (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0damaged")
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        read(folder)


def test_weights_in_several_files_are_one_model(checkpoint, read, rewritten):
    import json

    plain = read(checkpoint("bart"))
    folder = rewritten(checkpoint("bart"), lambda tensors: None)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {name: f"model-{1 + index % 2:05}-of-00002.safetensors" for index, name in enumerate(names)}
    for place in set(places.values()):
        save_file({name: tensors[name] for name in names if places[name] == place}, folder / place)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    found = read(folder)
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], tensor)
    assert found.section.pretrained.revision != plain.section.pretrained.revision


def test_a_resized_vocabulary_keeps_the_bias_on_its_logits(checkpoint, read, batch):
    section, model, _ = read(checkpoint("bart"))
    inputs = batch(section.pretrained)
    before = logits(model, inputs)
    size = section.pretrained.vocab_size
    model.resize_token_embeddings(size + 2)
    assert torch.equal(logits(model, inputs)[..., :size], before)
    assert model.output_bias[size:].tolist() == [0, 0]
    model.resize_token_embeddings(size - 5)
    assert torch.equal(logits(model, inputs), before[..., : size - 5])


def test_what_the_pretrained_model_has_not_can_be_added(checkpoint, read, batch):
    graft = {"fusion": "transparent", "decoder": {"cross_position": "t5"}, "context_encoder": "outside"}
    found = read(checkpoint("bart"), graft)
    reasons = set(found.report.new.values())
    assert reasons == {
        "fusion: transparent instead of top",
        "decoder cross_position: t5 where there was none",
        "context_encoder: outside where there was none",
    }
    assert not found.report.dropped
    assert logits(found.model, batch(found.section.pretrained)).isfinite().all()
