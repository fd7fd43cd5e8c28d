"""Folders of saved language models, and changed vocabularies."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from zoo.errors import InputError
from zoo.models import ZooForCausalLM, ZooForConditionalGeneration, assemble, load_model, weights_hash

LM = {"encoder": None, "fusion": None}
IDS = torch.tensor([[7, 8, 9, 2, 11, 12]])


@pytest.mark.parametrize("architecture", ["causal-lm", "prefix-lm"])
@pytest.mark.parametrize("tie", ["all", "none"])
def test_a_loaded_model_is_the_saved_one(make_model, architecture, tie, tmp_path):
    model = make_model("zoo-positional/alibi", architecture=architecture, tie_embeddings=tie, **LM)
    model.save_pretrained(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "generation_config.json", "model.safetensors"}
    for again in (AutoModelForCausalLM.from_pretrained(tmp_path), load_model(tmp_path)):
        assert isinstance(again, ZooForCausalLM)
        assert weights_hash(again) == weights_hash(model)
        assert (again.lm_head.weight is again.decoder.embed_tokens.weight) == (tie == "all")
        with torch.no_grad():
            assert torch.equal(again.eval()(IDS).logits, model(IDS).logits)


def test_the_wrong_auto_class_says_which_is_the_right_one(make_model, tmp_path):
    make_model(architecture="prefix-lm", **LM).save_pretrained(tmp_path / "lm")
    make_model().save_pretrained(tmp_path / "pair")
    assert isinstance(load_model(tmp_path / "pair"), ZooForConditionalGeneration)
    with pytest.raises(InputError, match=r"architecture prefix-lm: .* load it with AutoModelForCausalLM"):
        AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "lm")
    with pytest.raises(InputError, match=r"architecture encoder-decoder: .* load it with AutoModelForSeq2SeqLM"):
        AutoModelForCausalLM.from_pretrained(tmp_path / "pair")


@pytest.mark.parametrize("tie", ["all", "none"])
def test_a_resized_vocabulary_keeps_its_rows_and_ties(make_model, tie, tmp_path):
    model = make_model(architecture="causal-lm", tie_embeddings=tie, **LM)
    with torch.no_grad():
        before = model(IDS).logits
    assert model.resize_token_embeddings(60).weight.shape == (60, 32)
    with torch.no_grad():
        after = model(IDS).logits
    assert after.shape[-1] == model.config.vocab_size == 60
    torch.testing.assert_close(after[..., :53], before)
    assert (model.lm_head.weight is model.decoder.embed_tokens.weight) == (tie == "all")
    model.save_pretrained(tmp_path)
    assert weights_hash(load_model(tmp_path)) == weights_hash(model)


def test_a_language_model_has_no_second_vocabulary(make_section):
    with pytest.raises(InputError, match="one vocabulary"):
        assemble(make_section(architecture="causal-lm", **LM), 20, source_vocabulary_size=20, seed=1)


def test_models_of_one_seed_share_the_weights_of_the_parts_they_share(make_model):
    pair, single = make_model(tie_embeddings="none"), make_model(architecture="causal-lm", tie_embeddings="none", **LM)
    theirs = dict(pair.named_parameters())
    same = [name for name, item in single.named_parameters() if torch.equal(item, theirs[name])]
    assert {"decoder.embed_tokens.weight", "lm_head.weight", "decoder.layers.1.self_attention.qkv.weight"} <= set(same)
