"""Texts to ids and back, against transformers on the same folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from zoo.errors import InputError
from zoo.export.folder import TARGET_TOKENIZER
from zoo.export.runtime.texts import Texts, padded
from zoo.models._compat import save_tokenizer
from zoo.models.tokenizers import Tokenizers, load_tokenizers, save_tokenizers
from zoo.spec.pretrained import zoo_folder
from zoo.testing.tiny_model import tiny_examples, tiny_tokenizers

TEXTS = ["", " ", "It 's here , is n't it ?", "a </s> b<pad>c", "ja 日本語 ok", "x" * 40]


def bytes_tokenizer(**settings: Any) -> PreTrainedTokenizerFast:
    """Knows every text; says `settings` beside."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True) for token in ("<pad>", "</s>", "<s>", "<unk>")]
    trainer = trainers.BpeTrainer(
        vocab_size=270,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    backend.train_from_iterator(TEXTS, trainer)
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>", **settings
    )


@pytest.mark.parametrize("limit", [4, 60])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("split", [False, True])
def test_ids_and_mask_are_transformers_own(tmp_path: Path, split: bool, side: str, limit: int) -> None:
    save_tokenizer(bytes_tokenizer(split_special_tokens=split, truncation_side=side), tmp_path)
    rows = Texts(tmp_path, longest_source=limit).encoded(TEXTS)
    ids, mask = padded(rows, padding=0)
    expected = AutoTokenizer.from_pretrained(str(tmp_path))(
        TEXTS, padding=True, truncation=True, max_length=limit, return_tensors="np"
    )
    assert ids.tolist() == expected["input_ids"].tolist()
    assert mask.tolist() == expected["attention_mask"].tolist()


@pytest.mark.parametrize("clean_up", [False, True])
def test_outputs_are_read_as_transformers_does(tmp_path: Path, clean_up: bool) -> None:
    tokenizer = tiny_tokenizers().source
    tokenizer.clean_up_tokenization_spaces = clean_up
    save_tokenizer(tokenizer, tmp_path)
    kept = AutoTokenizer.from_pretrained(str(tmp_path))
    rows = [[0, *kept(example.source)["input_ids"], 0, 0] for example in tiny_examples(12)]
    assert Texts(tmp_path, longest_source=None).decoded(rows) == kept.batch_decode(rows, skip_special_tokens=True)
    assert Texts(tmp_path, longest_source=None).decoded([]) == []


def test_a_target_with_a_tokenizer_of_its_own_is_read_with_it(tmp_path: Path) -> None:
    save_tokenizers(Tokenizers(tiny_tokenizers().source, bytes_tokenizer()), tmp_path)
    assert (tmp_path / TARGET_TOKENIZER).is_dir()
    assert TARGET_TOKENIZER == zoo_folder.TARGET_TOKENIZER
    both = load_tokenizers(tmp_path)
    texts = Texts(tmp_path, longest_source=None)
    assert texts.encoded(["open the file"]) == both.source(["open the file"])["input_ids"]
    assert texts.decoded(both.target(["ja 日本語"])["input_ids"]) == ["ja 日本語"]


def test_a_folder_without_a_tokenizer_is_refused_as_is_one_with_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.json here"):
        Texts(tmp_path, longest_source=None)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        Texts(tmp_path, longest_source=None)
