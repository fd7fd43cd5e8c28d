"""What transformers computes with a pretrained model, zoo's skeleton computes with its weights."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM

KINDS = ["marian", "bart", "mbart", "t5", "t5-gated", "mt5"]


@pytest.fixture(params=KINDS)
def both(request, checkpoint, read):
    """transformers' model and zoo's."""
    folder = checkpoint(request.param)
    return AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), read(folder)


def logits_of(model, inputs):
    with torch.no_grad():
        return model(**inputs).logits[inputs["decoder_attention_mask"].bool()]


def test_logits_of_padded_batches_are_the_same(both, batch):
    theirs, (section, ours, _) = both
    inputs = batch(section.pretrained)
    expected = logits_of(theirs, inputs)
    assert expected.std() > 0.1
    for backend in ("zoo_sdpa", "zoo_eager"):
        ours.set_attn_implementation(backend)
        torch.testing.assert_close(logits_of(ours, inputs), expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_is_the_same(both, batch, beams):
    # transformers' own cache and beam search over both; the ends that a checkpoint forces are in both configurations.
    theirs, (section, ours, _) = both
    inputs = batch(section.pretrained)
    source = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    options = {"num_beams": beams, "max_new_tokens": 9, "do_sample": False, "no_repeat_ngram_size": 2}
    expected = theirs.generate(**source, **options)
    found = ours.generate(**source, **options)
    assert found.tolist() == expected.tolist()
    uncached = ours.generate(**source, **options, use_cache=False)
    assert uncached.tolist() == expected.tolist()


def test_every_weight_is_kept_once(both, checkpoint):
    _, (_, ours, report) = both
    assert not report.new
    assert not report.dropped
    assert [item.target for item in report.kept] == [
        name for name in ours.state_dict() if name not in ours.tied_names()
    ]


def test_saved_and_loaded_it_needs_no_checkpoint(both, batch, tmp_path, monkeypatch):
    _, (section, ours, _) = both
    ours.save_pretrained(tmp_path / "saved")
    monkeypatch.setattr("zoo.spec.pretrained.checkpoint.Checkpoint.__init__", None)
    loaded = type(ours).from_pretrained(tmp_path / "saved").eval()
    inputs = batch(section.pretrained)
    assert torch.equal(logits_of(loaded, inputs), logits_of(ours, inputs))
    assert loaded.generation_config.forced_eos_token_id == section.pretrained.forced_eos


def test_loss_and_gradient_of_the_embeddings_are_the_same(checkpoint, read, batch):
    folder = checkpoint("marian")
    section, ours, _ = read(folder, model={"dropout": 0.0})
    theirs = AutoModelForSeq2SeqLM.from_pretrained(folder, dropout=0.0).eval()
    inputs = batch(section.pretrained)
    labels = inputs["decoder_input_ids"].masked_fill(inputs["decoder_attention_mask"] == 0, -100)
    source = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    gradients = []
    for model, weight in ((theirs, theirs.get_input_embeddings().weight), (ours, ours.encoder.embed_tokens.weight)):
        loss = model(**source, labels=labels).loss
        loss.backward()
        gradients.append((loss.detach(), weight.grad[: section.pretrained.pad]))
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)
