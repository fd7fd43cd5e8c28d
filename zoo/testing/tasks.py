"""What is asked of corpora, tasks and tokenizers."""

from __future__ import annotations

import json
import pickle
import random
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from zoo.spec.options import Chosen
from zoo.tasks import (
    Corpus,
    DataHome,
    Example,
    ImageSource,
    PreparedCorpus,
    PreparedTask,
    PretrainedTokenizer,
    Split,
    Task,
    TokenizerTrainer,
)
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
_IMAGES = 8
"""Images of a split that are read: reading all may take long."""
_REVISION = re.compile(r"sha256:[0-9a-f]{64}")


def _json_ready(value: Mapping[str, Any]) -> None:
    json.dumps(dict(value), allow_nan=False)


def _without_image(example: Example) -> Example:
    """What can be compared: images are read, and sizes are known without."""
    return (
        example
        if example.image is None
        else replace(example, image=None, source=f"{example.source} {example.image.size}")
    )


class _PreparingSuite(ComponentSuite):
    _prepared: ClassVar[Path]

    @pytest.fixture
    def prepared_root(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Root of a data home where what one test of the class has prepared is there for the others."""
        if "_prepared" not in vars(type(self)):
            type(self)._prepared = tmp_path_factory.mktemp("prepared")
        return self._prepared


class CorpusSuite(_PreparingSuite):
    """Corpora: see `zoo.tasks.contracts.Corpus`."""

    kind: ClassVar[str] = "corpus"

    def prepare(self, chosen: Chosen, home: Path) -> PreparedCorpus:
        """The corpus, prepared under `home`."""
        corpus: Corpus = chosen.create()
        assert isinstance(corpus, Corpus)
        prepared = corpus.prepare(DataHome(home))
        assert isinstance(prepared, PreparedCorpus)
        return prepared

    def test_it_says_what_it_is(self, chosen: Chosen, prepared_root: Path) -> None:
        corpus = self.prepare(chosen, prepared_root)
        assert corpus.name.strip()
        assert corpus.licence.strip()
        assert len(corpus.languages) >= 2
        assert len(set(corpus.languages)) == len(corpus.languages)
        assert _REVISION.fullmatch(corpus.revision), f"revision {corpus.revision!r}: expected sha256:<hex>"
        _json_ready(corpus.facts)

    def test_each_split_has_pairs_in_every_language(self, chosen: Chosen, prepared_root: Path) -> None:
        corpus = self.prepare(chosen, prepared_root)
        for split in SPLITS:
            pairs = corpus.pairs(split)
            assert len(pairs) > 0, f"{split} is empty"
            for pair in pairs:
                assert set(corpus.languages) <= set(pair.texts), f"{split}: a pair lacks a language"
                assert all(pair.texts[language].strip() for language in corpus.languages), f"{split}: an empty text"

    def test_no_document_stands_in_two_splits(self, chosen: Chosen, prepared_root: Path) -> None:
        corpus = self.prepare(chosen, prepared_root)
        owner: dict[str, str] = {}
        for split in SPLITS:
            for pair in corpus.pairs(split):
                if pair.document is not None:
                    assert owner.setdefault(pair.document, split) == split, f"document {pair.document!r} is split up"

    def test_preparing_again_gives_the_same_pairs(self, chosen: Chosen, tmp_path: Path) -> None:
        first = self.prepare(chosen, tmp_path / "one")
        again = self.prepare(chosen, tmp_path / "one")
        elsewhere = self.prepare(chosen, tmp_path / "two")
        for other in (again, elsewhere):
            assert other.revision == first.revision
            for split in SPLITS:
                assert list(other.pairs(split)) == list(first.pairs(split))

    def test_preparing_leaves_global_state_alone(self, chosen: Chosen, tmp_path: Path) -> None:
        with untouched_surroundings():
            self.prepare(chosen, tmp_path)


class TaskSuite(_PreparingSuite):
    """Tasks: see `zoo.tasks.contracts.Task`.

    The traits ``inputs`` and ``outputs`` of a task's record are what its prepared task says (``text`` where absent), so
    that a spec whose model reads or writes something else is refused before anything is prepared.
    """

    kind: ClassVar[str] = "task"

    def prepare(self, chosen: Chosen, home: Path) -> PreparedTask:
        """The task, prepared under `home`."""
        task: Task = chosen.create()
        assert isinstance(task, Task)
        prepared = task.prepare(DataHome(home))
        assert isinstance(prepared, PreparedTask)
        return prepared

    def test_it_has_the_name_of_a_board(self, chosen: Chosen) -> None:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", chosen.create().name)

    def test_each_split_has_examples_with_ids_of_their_own(self, chosen: Chosen, prepared_root: Path) -> None:
        task = self.prepare(chosen, prepared_root)
        for split in SPLITS:
            examples = task.examples(split)
            assert len(examples) > 0, f"{split} is empty"
            assert len({example.id for example in examples}) == len(examples), f"{split}: ids are not unique"
            assert all(example.source.strip() for example in examples)
            if task.inputs == "text":  # an image may show none
                assert all(example.target.strip() for example in examples), f"{split}: a target is empty"

    def test_examples_hold_what_the_task_and_its_record_say(self, chosen: Chosen, prepared_root: Path) -> None:
        task = self.prepare(chosen, prepared_root)
        traits = chosen.component.traits
        assert (traits.get("inputs", "text"), traits.get("outputs", "text")) == (task.inputs, task.outputs)
        for split in SPLITS:
            with_image = [example for example in task.examples(split) if example.image is not None]
            expected = len(task.examples(split)) if task.inputs == "image" else 0
            assert len(with_image) == expected, f"{split}: {len(with_image)} images in a task of {task.inputs}s"

    def test_images_are_what_they_say_wherever_they_are_read(self, chosen: Chosen, prepared_root: Path) -> None:
        task = self.prepare(chosen, prepared_root)
        for split in SPLITS:
            for example in task.examples(split)[:_IMAGES]:
                if example.image is None:
                    continue
                pixels = example.image.load()
                height, width = example.image.size
                assert (str(pixels.dtype), *pixels.shape) == ("uint8", height, width, 3), f"{example.id}: other pixels"
                sent: ImageSource = pickle.loads(pickle.dumps(example.image))  # as data workers get it
                assert np.array_equal(sent.load(), pixels), f"{example.id}: other pixels in another process"
                assert np.array_equal(example.image.load(), pixels), f"{example.id}: other pixels the second time"
                for box in (truth.box for truth in example.boxes):
                    inside = 0 <= box[0] <= box[2] <= width and 0 <= box[1] <= box[3] <= height
                    assert inside, f"{example.id}: the box {box} is not in the image, {width} wide and {height} high"

    def test_context_that_is_left_out_takes_nothing_that_is_translated_along(
        self, chosen: Chosen, prepared_root: Path
    ) -> None:
        task = self.prepare(chosen, prepared_root)
        for example in task.examples("test"):
            bare = example.with_less_context(example.context_lines)
            assert bare.context_lines == 0
            assert bare.translated in bare.source, f"{example.id}: context_lines counts lines that are translated"
            assert bare.source.startswith(example.tag or ""), f"{example.id}: source does not begin with its tag"
            assert bare.context in (None, "") or not example.context_lines

    def test_preparing_again_gives_the_same_examples(self, chosen: Chosen, tmp_path: Path) -> None:
        first, again = self.prepare(chosen, tmp_path), self.prepare(chosen, tmp_path)
        assert first.revision == again.revision
        assert first.revision.strip()
        _json_ready(first.facts)
        for split in SPLITS:
            texts, once_more = ([_without_image(item) for item in task.examples(split)] for task in (first, again))
            assert texts == once_more
            for one, other in zip(first.examples(split)[:_IMAGES], again.examples(split)[:_IMAGES], strict=True):
                if one.image is not None and other.image is not None:
                    assert np.array_equal(one.image.load(), other.image.load()), f"{one.id}: other pixels"

    def test_tokenizers_see_training_text_only(self, chosen: Chosen, prepared_root: Path) -> None:
        task = self.prepare(chosen, prepared_root)
        read = ("target",) if task.inputs == "image" else ("source", "target")
        training = {getattr(example, side) for example in task.examples("train") for side in read}
        texts = list(task.tokenizer_texts())
        assert texts
        assert set(texts) <= training


def sample_texts(lines: int = 600) -> list[str]:
    """Deterministic sentences of invented words, in Latin and in Chinese script."""
    draw = random.Random(5)
    latin = ["".join(draw.choice("bdfgklmnprstv") + draw.choice("aeiou") for _ in range(2)) for _ in range(80)]
    chinese = [chr(0x4E00 + draw.randrange(300)) for _ in range(80)]
    sentences = []
    for index in range(lines):
        words = draw.choices(latin if index % 2 else chinese, k=draw.randrange(3, 9))
        sentences.append(" ".join(words) + "." if index % 2 else "".join(words) + "。")
    return sentences


def sample_checkpoint(folder: Path) -> Path:
    """The tokenizer's part of a pretrained model: bytes and pieces of them, learned from `sample_texts`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(special.values()), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(iter(sample_texts()), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


class TokenizerSuite(ComponentSuite):
    """Tokenizers: see `zoo.tasks.contracts.TokenizerTrainer` and `PretrainedTokenizer`."""

    kind: ClassVar[str] = "tokenizer"

    def train(self, chosen: Chosen) -> Any:
        """A tokenizer trained on `sample_texts`, or taken from `sample_checkpoint`."""
        made = chosen.create()
        if chosen.component.traits.get("pretrained") is True:
            assert isinstance(made, PretrainedTokenizer)
            with tempfile.TemporaryDirectory() as folder:
                return made.load(str(sample_checkpoint(Path(folder))))
        assert isinstance(made, TokenizerTrainer)
        return made.train(iter(sample_texts()))

    def test_special_tokens_have_their_ids(self, chosen: Chosen) -> None:
        tokenizer = self.train(chosen)
        ids = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id)
        assert ids == (0, 1, 2, 3), "pad, eos, bos, unk"

    def test_it_has_no_more_tokens_than_it_is_asked_for(self, chosen: Chosen) -> None:
        made = chosen.create()
        asked_for = made.asked_for if isinstance(made, TokenizerTrainer) else None
        if asked_for is None:
            pytest.skip("does not say how many it makes")
        assert 4 <= len(self.train(chosen)) <= asked_for

    def test_encoding_ends_in_eos_and_decodes_to_the_text(self, chosen: Chosen) -> None:
        tokenizer = self.train(chosen)
        for text in sample_texts(20):
            ids = tokenizer(text)["input_ids"]
            assert ids[-1] == 1
            assert not {0, 1, 2} & set(ids[:-1]), "special tokens inside a text"
            decoded = tokenizer.decode(ids, skip_special_tokens=True)
            # Up to the normalisation that the options state: NFKC makes the full stop of Chinese no other one.
            assert decoded.replace(" ", "") == text.replace(" ", "")

    @pytest.mark.parametrize("text", ["", " ", "☃ 🦓 \u0300", "a" * 5000, "</s> <pad>"])
    def test_strange_text_is_no_error(self, chosen: Chosen, text: str) -> None:
        tokenizer = self.train(chosen)
        ids = tokenizer(text)["input_ids"]
        assert ids[-1] == 1
        assert all(0 <= token < len(tokenizer) for token in ids)
        tokenizer.decode(ids, skip_special_tokens=True)

    def test_same_texts_give_the_same_tokenizer(self, chosen: Chosen) -> None:
        with untouched_surroundings():
            first, second = self.train(chosen), self.train(chosen)
        assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()

    def test_it_survives_saving(self, chosen: Chosen, tmp_path: Path) -> None:
        from transformers import AutoTokenizer

        tokenizer = self.train(chosen)
        tokenizer.save_pretrained(tmp_path)
        loaded = AutoTokenizer.from_pretrained(tmp_path)
        for text in sample_texts(20):
            assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
