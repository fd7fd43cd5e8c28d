"""Folders of saved models: the same model comes back, or a clear error does."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from zoo.errors import InputError, ZooError
from zoo.models import ZooConfig, ZooForConditionalGeneration, count_parameters, weights_hash
from zoo.registry import LoadPolicy, Registry, use_registry


def _restored(model, folder):
    model.save_pretrained(folder)
    return ZooForConditionalGeneration.from_pretrained(folder)


def test_a_loaded_model_gives_the_same_logits_and_outputs(make_model, position, sentences, tmp_path):
    model = make_model(position)
    again = _restored(model, tmp_path)
    source = {name: sentences[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        assert torch.equal(again(**sentences).logits, model(**sentences).logits)
    options = {"num_beams": 2, "max_new_tokens": 6, "do_sample": False, "no_repeat_ngram_size": 1}
    assert again.generate(**source, **options).tolist() == model.generate(**source, **options).tolist()


@pytest.mark.parametrize("tie", ["all", "decoder", "none"])
def test_tied_matrices_are_one_before_and_after_saving(make_model, tie, tmp_path):
    model = make_model(tie_embeddings=tie)
    again = _restored(model, tmp_path)
    for each in (model, again):
        source, target, output = each.encoder.embed_tokens.weight, each.decoder.embed_tokens.weight, each.lm_head.weight
        assert (target is source) == (tie == "all")
        assert (output is target) == (tie != "none")
        assert (output is source) == (tie == "all")
    matrices = {"all": 1, "decoder": 2, "none": 3}[tie]
    vocabulary, width = model.encoder.embed_tokens.weight.shape
    rest = sum(
        item.numel() for name, item in model.named_parameters() if "embed_tokens" not in name and "lm_head" not in name
    )
    assert count_parameters(again) == count_parameters(model) == rest + matrices * vocabulary * width
    assert weights_hash(again) == weights_hash(model)


def test_weights_are_safetensors_and_nothing_else(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
    }
    with pytest.raises(InputError, match="safetensors only"):
        make_model().save_pretrained(tmp_path, safe_serialization=False)


def test_a_pickle_is_refused_unread(make_model, tmp_path):
    model = make_model()
    model.config.save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not even a pickle")
    for options in ({}, {"use_safetensors": False}):
        with pytest.raises(InputError, match="safetensors"):
            ZooForConditionalGeneration.from_pretrained(tmp_path, **options)
    with pytest.raises(InputError, match=r"found the pickle pytorch_model.bin, which could run code"):
        AutoModelForSeq2SeqLM.from_pretrained(tmp_path)


def test_the_auto_classes_load_a_zoo_model(make_model, tmp_path):
    model = make_model()
    model.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), ZooConfig)
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    assert isinstance(again, ZooForConditionalGeneration)
    assert weights_hash(again) == weights_hash(model)


def test_loading_leaves_torchs_generator_alone(make_model, tmp_path):
    make_model().save_pretrained(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    ZooForConditionalGeneration.from_pretrained(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_half_precision_weights_are_loaded_on_request(make_model, sentences, tmp_path, position):
    make_model(position).save_pretrained(tmp_path)
    model = ZooForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    assert {item.dtype for item in model.parameters()} == {torch.bfloat16}
    with torch.no_grad():
        logits = model(**sentences).logits
    assert logits.dtype == torch.bfloat16
    assert logits.isfinite().all()


def test_a_missing_plugin_is_named_with_what_to_install(make_model, tmp_path):
    make_model("zoo-positional/rotary").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["plugins"]["zoo-exotic"] = "3.1"
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"'zoo-exotic' \(3.1\), not installed here: pip install zoo-exotic$"):
        ZooForConditionalGeneration.from_pretrained(tmp_path)


def test_a_blocked_plugin_is_named_with_the_reason(make_model, tmp_path):
    make_model("zoo-positional/rotary").save_pretrained(tmp_path)
    blocked = Registry.load(LoadPolicy(blocked=frozenset({"zoo-positional"})))
    with use_registry(blocked), pytest.raises(InputError, match="'zoo-positional' is blocked"):
        ZooForConditionalGeneration.from_pretrained(tmp_path)


def test_weights_of_another_configuration_are_an_error_not_a_warning(make_model, tmp_path):
    make_model(decoder={"layers": 1}).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["model"]["decoder"]["layers"] = 2
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ZooError, match=r"the weights lack decoder\.layers\.1"):
        ZooForConditionalGeneration.from_pretrained(tmp_path)


def test_a_backend_chosen_on_loading_is_the_one_that_runs(make_model, sentences, tmp_path):
    make_model().save_pretrained(tmp_path)
    for requested, ran in (("eager", "eager"), ("sdpa", "sdpa"), ("zoo_auto", "sdpa")):
        model = ZooForConditionalGeneration.from_pretrained(tmp_path, attn_implementation=requested)
        assert model.attention_backend is None
        model(**sentences)
        assert model.attention_backend == ran


def test_the_spec_chooses_the_backend(make_model, sentences):
    for requested, ran in (("eager", "eager"), ("sdpa", "sdpa"), ("auto", "sdpa"), ("flex", "flex")):
        model = make_model(attention=requested)
        with torch.no_grad():
            model(**sentences)
        assert model.attention_backend == ran


def test_a_configuration_survives_json(make_model, tmp_path):
    config = make_model("zoo-positional/alibi").config
    config.save_pretrained(tmp_path)
    again = ZooConfig.from_pretrained(tmp_path)
    assert again.model == config.model
    assert again.plugins == config.plugins
    assert again.section() == config.section()
    ids = ("pad_token_id", "eos_token_id", "bos_token_id", "decoder_start_token_id", "vocab_size")
    assert [getattr(again, name) for name in ids] == [0, 1, 2, 0, 53]
    assert (again.hidden_size, again.num_hidden_layers, again.num_attention_heads) == (32, 2, 4)


def test_a_configuration_names_every_plugin_it_uses_nested_ones_included(make_model):
    config = make_model("zoo-private/shared-table", decoder={"layers": 1, "position": "zoo-positional/rotary"}).config
    assert set(config.plugins) == {"zoo-private", "zoo-positional", "zoo-blocks", "zoo-fusion"}
    assert config.plugins["zoo-private"] == "0"
