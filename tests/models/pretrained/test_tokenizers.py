"""A pretrained model's own tokenizer: its sides, its special ids, a task's tokens, and the folder it is kept in."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from checkpoints import texts
from transformers import AutoTokenizer

from zoo.errors import InputError, ZooError
from zoo.models.tokenizers import load_tokenizers, save_tokenizers
from zoo.spec import load_spec
from zoo.tasks import Example
from zoo.training.building import assemble_for
from zoo.training.data.collate import Collator
from zoo.training.data.encoding import encode_pairs
from zoo.training.preparation import Prepared, _pretrained, tokenizers_hash


@pytest.fixture
def prepared(checkpoint, write_spec):
    """``prepared("bart", special_tokens=("<t>",))``: a spec, and what its model reads."""

    def make(kind, special_tokens=(), **changes):
        spec = load_spec(write_spec(checkpoint(kind), **changes))
        task = SimpleNamespace(special_tokens=special_tokens)
        return spec, Prepared(task, _pretrained(spec, task))

    return make


def test_marians_two_sides_read_with_their_own_pieces(checkpoint, prepared):
    _, found = prepared("marian")
    theirs = AutoTokenizer.from_pretrained(checkpoint("marian"))
    lines = texts()[90:110]
    sources, targets = found.tokenizers.source(lines)["input_ids"], found.tokenizers.target(lines)["input_ids"]
    assert sources == theirs(lines)["input_ids"]
    assert targets == theirs(text_target=lines)["input_ids"]
    assert sources != targets
    assert found.tokenizers.shared
    assert found.tokenizers.source(lines)["input_ids"] == sources  # reading a target leaves no trace
    assert found.tokenizers.target.batch_decode(targets, skip_special_tokens=True) == theirs.batch_decode(
        targets, skip_special_tokens=True
    )


@pytest.mark.parametrize("kind", ["marian", "bart"])
def test_it_is_the_same_one_after_saving(prepared, tmp_path, kind):
    _, found = prepared(kind)
    save_tokenizers(found.tokenizers, tmp_path)
    loaded = load_tokenizers(tmp_path)
    assert tokenizers_hash(loaded) == tokenizers_hash(found.tokenizers)
    spelled = [*texts()[:5], "a </s> b"]
    for side in ("source", "target"):
        ids = getattr(loaded, side)(spelled)["input_ids"]
        assert ids == getattr(found.tokenizers, side)(spelled)["input_ids"]
        assert all(row.count(loaded.source.eos_token_id) == 1 for row in ids)


@pytest.mark.parametrize("kind", ["marian", "bart", "t5"])
def test_batches_and_labels_have_the_models_own_ids(prepared, kind):
    spec, found = prepared(kind)
    model = assemble_for(spec, found)
    ids, config = spec.model.pretrained, model.config
    assert (config.pad_token_id, config.eos_token_id, config.bos_token_id) == (ids.pad, ids.eos, ids.bos)
    examples = [Example(one, source=one, target=two) for one, two in (texts()[:2], texts()[3:5])]
    pairs = encode_pairs(found.tokenizers, examples, 60)
    batch = Collator(pairs, pad_id=config.pad_token_id, start_id=config.decoder_start_token_id)(np.arange(2))
    expected = found.tokenizers.source([item.source for item in examples], padding=True, return_tensors="pt")
    assert torch.equal(batch.input_ids, expected["input_ids"])
    assert batch.decoder_input_ids[:, 0].tolist() == [ids.decoder_start] * 2
    # What the model makes of labels is what the collator makes of targets.
    assert torch.equal(model.prepare_decoder_input_ids_from_labels(batch.labels), batch.decoder_input_ids)


def test_a_tasks_special_tokens_get_rows_of_their_own(prepared):
    spec, found = prepared("bart", special_tokens=("<formal>",))
    token = found.tokenizers.source.convert_tokens_to_ids("<formal>")
    assert token == len(found.tokenizers.source) - 1
    # The checkpoint has three rows to spare: the first of them is the token's.
    assert assemble_for(spec, found).config.vocab_size == spec.model.pretrained.vocab_size
    spec, found = prepared("bart", special_tokens=tuple(f"<t{number}>" for number in range(5)))
    assert assemble_for(spec, found).config.vocab_size == spec.model.pretrained.vocab_size + 2


def test_marians_cannot_take_special_tokens(prepared):
    with pytest.raises(ZooError, match="tokenizer 'zoo-tasks-text/pretrained' cannot take"):
        prepared("marian", special_tokens=("<formal>",))


def test_a_tokenizer_of_other_ids_than_its_model_is_refused(checkpoint, write_spec, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(checkpoint("bart"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": 4}))
    with pytest.raises(InputError, match=r"its tokenizer has the pad id 1, its config\.json says 4"):
        _pretrained(load_spec(write_spec(folder)), SimpleNamespace(special_tokens=()))
