"""The vocabulary report, counted again by other means."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from zoo.cli.main import main
from zoo.models.tokenizers import Tokenizers
from zoo.spec import Spec
from zoo.tasks import DataHome, Example, PreparedTask
from zoo.training import prepare
from zoo.training.data.special_tokens import add_special_tokens
from zoo.training.watch.vocabulary_report import PartReport, vocabulary_report


class Task(PreparedTask):
    revision = "sha256:0"
    facts: ClassVar[dict[str, Any]] = {}
    special_tokens = ("<t>", "\n")

    def __init__(self, sources: Sequence[str], context: str | None = None) -> None:
        self._examples = [Example(str(n), text, "a b", context=context) for n, text in enumerate(sources)]

    def examples(self, split: Any) -> Sequence[Example]:
        return self._examples


@pytest.fixture(scope="module")
def letters() -> Any:
    """One token a known letter (a, b, 我), unk for another; words are not kept apart. One byte token."""
    names = ["<pad>", "</s>", "<s>", "<unk>", "a", "b", "我", "<0x41>"]
    backend = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )
    add_special_tokens(tokenizer, Task.special_tokens, "letters")
    return tokenizer


def part(report: Any, text: str, split: str = "dev") -> PartReport:
    (found,) = [item for item in report.parts if (item.split, item.text) == (split, text)]
    return found


def test_counts_of_texts_small_enough_to_count_by_hand(make_spec: Callable[..., Spec], letters: Any) -> None:
    # Words: ab, xa | aa, yx, x. Unknown: x three times, y once.
    task = Task(["<t> ab xa", "aa\nyx x"])
    report = vocabulary_report(make_spec(**{"training.max_tokens": 6}), task, Tokenizers(letters, letters))
    found = part(report, "source")
    assert (found.examples, found.of, found.characters, found.words, found.tokens) == (2, 2, 9, 5, 9)
    assert (found.tokens_per_word, found.tokens_per_character) == (9 / 5, 1.0)
    assert (found.known_characters, found.known_words) == (5 / 9, 2 / 5)
    assert found.unknown_characters == {"x": 3, "y": 1}
    # <t> a b x a </s>; a a \n y x x </s>
    assert found.lengths["minimum"] == 6
    assert found.lengths["maximum"] == 7
    assert found.too_long == 1 / 2
    # a, b, <t>, \n of a, b, 我, the byte, <t>, \n
    assert found.vocabulary_used == 4 / 6
    assert report.tokenizers[0].special_tokens == {"<pad>": 0, "</s>": 1, "<s>": 2, "<unk>": 3, "<t>": 8, "\n": 9}
    assert (report.tokenizers[0].side, report.tokenizers[0].size, report.max_tokens) == ("both", 10, 6)


def test_where_words_are_not_spaced_there_are_no_tokens_a_word(make_spec: Callable[..., Spec], letters: Any) -> None:
    report = vocabulary_report(make_spec(), Task(["我我 a"]), Tokenizers(letters, letters))
    assert part(report, "source").tokens_per_word is None
    assert part(report, "source").tokens_per_character == 1.0
    assert part(report, "target").tokens_per_word == 1.0


def test_a_second_input_is_a_part_of_its_own(make_spec: Callable[..., Spec], letters: Any) -> None:
    report = vocabulary_report(make_spec(), Task(["a"], context="b b"), Tokenizers(letters, letters))
    assert part(report, "context").tokens == 2
    assert [item.text for item in report.parts] == ["source", "context", "target"] * 3


def test_no_more_examples_than_the_limit_are_read_spread_over_the_split(
    make_spec: Callable[..., Spec], letters: Any
) -> None:
    task = Task(["a" * length for length in range(1, 101)])
    found = part(vocabulary_report(make_spec(), task, Tokenizers(letters, letters), limit=10), "source")
    assert (found.examples, found.of) == (10, 100)
    assert found.tokens == sum(range(1, 101, 10))


@pytest.mark.parametrize(
    "section",
    [
        {"use": "unigram", "vocab_size": 160},
        {"use": "bpe", "vocab_size": 400, "byte_fallback": True, "character_coverage": 0.9},
        {"use": "bpe", "vocab_size": 100, "character_coverage": 0.9},
        {"use": "byte-level", "vocab_size": 300},
        {"use": "word", "vocab_size": 60},
    ],
    ids=lambda section: f"{section['use']}-{section['vocab_size']}",
)
def test_counts_of_real_tokenizers_are_those_of_their_tokens(
    make_spec: Callable[..., Spec], home: DataHome, section: dict[str, Any]
) -> None:
    spec = make_spec(tokenizer=section)
    prepared = prepare(spec, home)
    tokenizer = prepared.tokenizers.source
    found = part(vocabulary_report(spec, prepared.task, prepared.tokenizers), "target", "train")
    texts = [example.target for example in prepared.task.examples("train")]
    tokens = [tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) for text in texts]
    body = [token for row in tokens for token in row[:-1]]
    assert found.tokens == len(body)
    assert found.words == sum(len(text.split()) for text in texts)
    assert found.characters == sum(len("".join(text.split())) for text in texts)
    assert list(found.lengths.values()) == np.quantile([len(row) for row in tokens], [0, 0.25, 0.5, 0.75, 1]).tolist()
    assert found.byte_tokens == sum(token.startswith("<0x") for token in body) / len(body)
    assert found.vocabulary_used == len(set(body) - {"<unk>"}) / (len(tokenizer) - 4)
    # A word of its own is cut as inside a text, so it is known if it has no unk when it is alone.
    words = Counter(word for text in texts for word in text.split())
    known = sum(count for word, count in words.items() if 3 not in tokenizer(word)["input_ids"])
    assert found.known_words == known / words.total()


def test_the_command_prints_what_the_report_says(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("ZOO_HOME", str(home.root))
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(make_spec().plain()))
    arguments = ["data", "vocabulary", str(spec), "--set", "tokenizer.vocab_size=170", "--max-examples", "10"]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    sizes = {"train": 300, "dev": 40, "test": 20}
    expected = [(split, text, 10, of) for split, of in sizes.items() for text in ("source", "target")]
    found = [(item["split"], item["text"], item["examples"], item["of"]) for item in printed["parts"]]
    assert found == expected
    assert printed["tokenizers"][0]["size"] == 170
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "both sides: zoo-tasks-text/unigram, 170 tokens (<pad> 0, </s> 1, <s> 2, <unk> 3)" in shown
    assert f"{printed['parts'][0]['tokens_per_word']:.3f}" in shown
