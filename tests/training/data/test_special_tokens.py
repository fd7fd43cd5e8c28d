"""A task's special tokens are one id each, and leave the text beside them alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from zoo.errors import ZooError
from zoo.models.tokenizers import Tokenizers, load_tokenizers, save_tokenizers
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.testing.tasks import sample_texts
from zoo.training.data.special_tokens import add_special_tokens

TOKENS = ("<honorific>", "\n", "<质>")
KINDS = {
    "unigram": {"vocab_size": 200},
    "bpe": {"vocab_size": 200},
    "unigram with bytes": {"vocab_size": 480, "byte_fallback": True},
    "byte-level": {"vocab_size": 320},
    "byte-level alone": {"vocab_size": 260},
    "word": {"vocab_size": 153},
}


def trained(kind: str) -> Any:
    item = current_registry().get("tokenizer", kind.split()[0])
    return Chosen(item, item.load_options().model_validate(KINDS[kind])).create().train(iter(sample_texts()))


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A tokenizer without and, saved and loaded, one with special tokens."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    tokenizer = trained(request.param)
    add_special_tokens(tokenizer, TOKENS, request.param)
    save_tokenizers(Tokenizers(tokenizer, tokenizer), folder)
    return trained(request.param), load_tokenizers(folder).source


def test_they_follow_the_trained_vocabulary_in_their_order(pair: tuple[Any, Any]) -> None:
    without, tokenizer = pair
    size = len(without)
    assert len(tokenizer) == size + len(TOKENS)
    for place, token in enumerate(TOKENS):
        assert tokenizer(token)["input_ids"] == [size + place, 1]


@pytest.mark.parametrize("separator", ["\n", " \n ", "\n\n"])
def test_a_line_feed_stands_between_texts_as_each_is_alone(pair: tuple[Any, Any], separator: str) -> None:
    without, tokenizer = pair
    feeds = [len(without) + 1] * separator.count("\n")
    for one, two in zip(sample_texts(10), sample_texts(10)[1:], strict=False):
        expected = [*without(one)["input_ids"][:-1], *feeds, *without(two)["input_ids"]]
        assert tokenizer(one + separator + two)["input_ids"] == expected


def test_decoding_keeps_line_feeds_and_no_space_beside_them(pair: tuple[Any, Any]) -> None:
    _, tokenizer = pair
    texts = [" ".join(text.split()) for text in sample_texts(6)]
    normal = [tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) for text in texts]
    document = "\n".join(texts)
    decoded = tokenizer.decode(tokenizer(document)["input_ids"], skip_special_tokens=True)
    assert decoded == "\n".join(normal)
    assert decoded.count("\n") == 5


def test_a_tag_before_a_text_is_one_id(pair: tuple[Any, Any]) -> None:
    without, tokenizer = pair
    for text in sample_texts(10):
        expected = [len(without), *without(text)["input_ids"]]
        assert tokenizer(f"<honorific> {text}")["input_ids"] == expected
        assert tokenizer(f"<honorific>{text}")["input_ids"] == expected


def test_text_that_spells_the_tokenizers_own_tokens_stays_text(pair: tuple[Any, Any]) -> None:
    _, tokenizer = pair
    ids = tokenizer("ba </s> <pad>\n</s>")["input_ids"]
    assert not {0, 1, 2} & set(ids[:-1])


def test_without_special_tokens_nothing_changes() -> None:
    tokenizer = trained("bpe")
    before = tokenizer.backend_tokenizer.to_str()
    add_special_tokens(tokenizer, (), "bpe")
    assert tokenizer.backend_tokenizer.to_str() == before


@pytest.mark.parametrize("token", ["", "</s>", "<pad>"])
def test_what_cannot_be_one_is_refused(token: str) -> None:
    with pytest.raises(ZooError, match="is empty, given twice, or one of the tokenizer's own"):
        add_special_tokens(trained("bpe"), (token,), "bpe")
    with pytest.raises(ZooError, match="given twice"):
        add_special_tokens(trained("bpe"), ("<a>", "<a>"), "bpe")


def test_a_tokenizer_that_changes_the_text_beside_one_is_refused_by_name() -> None:
    vocabulary = {"<pad>": 0, "</s>": 1, "<s>": 2, "<unk>": 3, "▁a": 4, "a": 5, "▁1.": 6, "1.": 7}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")  # not before what follows a token
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )
    with pytest.raises(ZooError, match=r"tokenizer 'acme/odd' does not keep .*'<tag>' as one token"):
        add_special_tokens(tokenizer, ("<tag>",), "acme/odd")
