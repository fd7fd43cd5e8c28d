"""What a vocabulary makes of its data: fertility, lengths and coverage, by side and split.

Fertility is tokens per word (Rust et al. 2021, arXiv:2012.15613); per character where words are not spaced.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from zoo.errors import InputError
from zoo.models.tokenizers import Tokenizers
from zoo.spec import Spec
from zoo.tasks import Example, PreparedTask
from zoo.tasks.contracts import SPLITS, Progress, Split, silent

Text = Literal["source", "context", "target"]
LIMIT = 20_000
"""Examples of a split that are looked at unless another number is asked for."""
_SHOWN = 20
_CHUNK = 1000
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_WORD = re.compile(r"\S+")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class VocabularyReport:
    """All tokenizers of a spec, and all texts they read. Shares lie between 0 and 1; None where nothing is counted."""

    tokenizers: tuple[VocabularyFacts, ...]
    max_tokens: int
    parts: tuple[PartReport, ...]


@dataclass(frozen=True)
class VocabularyFacts:
    """One tokenizer."""

    side: Literal["both", "source", "target"]
    component: str
    size: int
    special_tokens: dict[str, int]
    """Token -> id: its own four, then the task's."""


@dataclass(frozen=True)
class PartReport:
    """The texts of one side and split. Characters are those that are not white space; words stand between white space.
    The task's special tokens are neither, and are not counted among the tokens of the text."""

    split: Split
    text: Text
    examples: int
    of: int
    """Examples of the whole split: where that is more, those looked at are spread evenly over it."""
    characters: int
    words: int
    tokens: int
    """Without the end token."""
    tokens_per_word: float | None
    """None where most characters are Han or kana, which are written without spaces."""
    tokens_per_character: float | None
    lengths: dict[str, float]
    """Tokens of a text as training counts them, end token and special tokens included: minimum, quartiles, maximum."""
    too_long: float | None
    """Share of texts above `training.max_tokens`."""
    known_characters: float | None
    """Share outside unk tokens."""
    known_words: float | None
    """Share without any unk token in them."""
    byte_tokens: float | None
    """Share of tokens that are one byte of a character without a token (`byte_fallback`)."""
    vocabulary_used: float
    """Share of the vocabulary, pad, eos, bos and unk left out, that occurs."""
    unknown_characters: dict[str, int] = field(default_factory=dict)
    """The most frequent characters inside unk tokens, with their counts; ties by code point."""


def vocabulary_report(
    spec: Spec, task: PreparedTask, tokenizers: Tokenizers, *, limit: int = LIMIT, progress: Progress = silent
) -> VocabularyReport:
    """Look at up to `limit` examples of each split."""
    parts: list[PartReport] = []
    for split in SPLITS:
        examples = _spread(task.examples(split), limit)
        total = len(task.examples(split))
        for text in _texts_of(task, examples):
            progress(f"reading {split} {text}", 0, len(examples))
            tokenizer = tokenizers.target if text == "target" else tokenizers.source
            counted = _Counts(tokenizer, task.special_tokens)
            values = [getattr(example, text) for example in examples if getattr(example, text) is not None]
            for start in range(0, len(values), _CHUNK):
                counted.add(values[start : start + _CHUNK])
                progress(f"reading {split} {text}", min(start + _CHUNK, len(values)), len(values))
            parts.append(counted.report(split, text, of=total, max_tokens=spec.training.max_tokens))
    return VocabularyReport(tuple(_facts(spec, task, tokenizers)), spec.training.max_tokens, tuple(parts))


def _spread(examples: Sequence[Example], limit: int) -> list[Example]:
    count = min(limit, len(examples))
    return [examples[index * len(examples) // count] for index in range(count)]


def _texts_of(task: PreparedTask, examples: Sequence[Example]) -> Iterator[Text]:
    if task.inputs == "text":
        yield "source"
    if any(example.context is not None for example in examples):
        yield "context"
    yield "target"


def _facts(spec: Spec, task: PreparedTask, tokenizers: Tokenizers) -> Iterator[VocabularyFacts]:
    def facts(side: Literal["both", "source", "target"], component: str, tokenizer: Any) -> VocabularyFacts:
        own = [tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token]
        tokens = [token for token in [*own, *task.special_tokens] if token is not None]
        ids = {token: int(tokenizer.convert_tokens_to_ids(token)) for token in tokens}
        return VocabularyFacts(side, component, len(tokenizer), ids)

    if not spec.has_separate_tokenizers:
        yield facts("both" if task.inputs == "text" else "target", spec.tokenizer.id, tokenizers.source)
    else:
        yield facts("source", spec.tokenizer.id, tokenizers.source)
        yield facts("target", (spec.target_tokenizer or spec.tokenizer).id, tokenizers.target)


class _Counts:
    """Sums over the texts that one tokenizer reads."""

    def __init__(self, tokenizer: Any, special_tokens: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        if not tokenizer.is_fast:
            raise InputError(
                "what this tokenizer makes of texts cannot be counted: transformers runs it in Python, without places"
            )
        unk = tokenizer.unk_token_id
        self.unk = -1 if unk is None else int(unk)
        special = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id, unk)
        self.fixed = {int(token) for token in special if token is not None}
        self.added = {int(tokenizer.convert_tokens_to_ids(token)) for token in special_tokens}
        self.cut = re.compile("|".join(map(re.escape, special_tokens))) if special_tokens else None
        names = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        self.bytes = {index for index, name in enumerate(names) if _BYTE.fullmatch(name)}
        self.lengths: list[int] = []
        self.used: set[int] = set()
        self.unknown: Counter[str] = Counter()
        self.characters = self.unspaced = self.words = self.tokens = self.byte_tokens = self.unknown_words = 0

    def add(self, texts: Sequence[str]) -> None:
        encoded = self.tokenizer(list(texts), return_offsets_mapping=True, return_attention_mask=False)
        for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
            self.lengths.append(len(ids))
            body = ids[:-1]
            self.used.update(body)
            content = [token for token in body if token not in self.added]
            self.tokens += len(content)
            self.byte_tokens += sum(token in self.bytes for token in content)
            # Blanked, so that places stay what the tokenizer says they are.
            plain = self.cut.sub(lambda found: " " * len(found[0]), text) if self.cut else text
            unknown = {
                place
                for token, (start, end) in zip(ids, offsets, strict=True)
                if token == self.unk
                for place in range(start, end)
            }
            self._count_words(plain, unknown)

    def _count_words(self, text: str, unknown: set[int]) -> None:
        for word in _WORD.finditer(text):
            self.words += 1
            self.characters += len(word[0])
            self.unspaced += len(_UNSPACED.findall(word[0]))
            missed = [place for place in range(*word.span()) if place in unknown] if unknown else []
            self.unknown_words += bool(missed)
            self.unknown.update(text[place] for place in missed)

    def report(self, split: Split, text: Text, *, of: int, max_tokens: int) -> PartReport:
        spaced = 2 * self.unspaced <= self.characters
        most = sorted(self.unknown.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
        lengths = np.asarray(self.lengths)
        names = ("minimum", "lower_quartile", "median", "upper_quartile", "maximum")
        quartiles = np.percentile(lengths, [0, 25, 50, 75, 100]).tolist() if self.lengths else []
        return PartReport(
            split=split,
            text=text,
            examples=len(self.lengths),
            of=of,
            characters=self.characters,
            words=self.words,
            tokens=self.tokens,
            tokens_per_word=_share(self.tokens, self.words) if spaced else None,
            tokens_per_character=_share(self.tokens, self.characters),
            lengths=dict(zip(names, quartiles, strict=bool(quartiles))),
            too_long=_share(int((lengths > max_tokens).sum()), len(self.lengths)),
            known_characters=_share(self.characters - self.unknown.total(), self.characters),
            known_words=_share(self.words - self.unknown_words, self.words),
            byte_tokens=_share(self.byte_tokens, self.tokens),
            vocabulary_used=len(self.used - self.fixed) / max(1, len(self.tokenizer) - len(self.fixed)),
            unknown_characters=dict(most),
        )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
