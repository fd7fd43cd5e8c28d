"""The tokenizer of a pretrained model."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from zoo_tasks_text.tokenizers.pretrained import Pretrained

from zoo.errors import InputError
from zoo.spec import NoOptions
from zoo.testing.tasks import sample_checkpoint, sample_texts

SPELLED = ["the </s> end", "</s>", "<pad><s>", "a<unk>b"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return sample_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def load(folder):
    return Pretrained(NoOptions()).load(str(folder))


def test_texts_become_what_transformers_makes_of_them(folder):
    ours, theirs = load(folder), AutoTokenizer.from_pretrained(folder)
    texts = sample_texts(20)
    assert ours(texts)["input_ids"] == theirs(texts)["input_ids"]


@pytest.mark.parametrize("text", SPELLED)
def test_a_text_that_spells_a_special_token_is_text(folder, text):
    ours = load(folder)
    ids = ours(text)["input_ids"]
    assert not {0, 1, 2} & set(ids[:-1])
    assert ours.decode(ids, skip_special_tokens=True) == text


def test_it_pads_on_the_right_and_has_no_limit_of_its_own(folder, tmp_path):
    config = json.loads((folder / "tokenizer_config.json").read_text())
    changed = {**config, "padding_side": "left", "model_max_length": 3}
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(changed))
    found = load(tmp_path)(["a b c d e f g h", "a"], padding=True, truncation=True)
    assert len(found["input_ids"][0]) > 3
    assert found["attention_mask"][1][0] == 1
    assert found["attention_mask"][1][-1] == 0


def test_a_folder_without_a_tokenizer_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="has no tokenizer that transformers loads") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ({"eos_token": "</s>"}, "its tokenizer has no pad token"),
        ({"eos_token": "</s>", "pad_token": "<pad>"}, "does not end a text in its end token '</s>'"),
    ],
    ids=["no padding", "no end"],
)
def test_a_tokenizer_that_training_cannot_use_is_refused(tmp_path, tokens, told):
    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", **tokens).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=told):
        load(tmp_path)
