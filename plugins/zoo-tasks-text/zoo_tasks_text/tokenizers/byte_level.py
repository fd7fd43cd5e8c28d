"""Byte-level tokenizer: BPE of UTF-8 bytes (Wang et al. 2019, arXiv:1909.03341) or bytes alone (Xue et al. 2021,
ByT5, arXiv:2105.13626)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from zoo_tasks_text.tokenizers import vocabulary
from zoo_tasks_text.tokenizers.options import ByteLevelOptions


def _byte_characters() -> tuple[str, ...]:
    """The character that stands for each byte in tokens: itself where it prints, else one from U+0100 on (GPT-2)."""
    printed = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printed]
    shown = {byte: chr(byte) for byte in printed} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return tuple(shown[byte] for byte in range(256))


BYTE_CHARACTERS = _byte_characters()


class ByteLevel(vocabulary.VocabularyTrainer):
    """Token 4 + b is byte b; further ones are merges inside GPT-2's words, most frequent pair first."""

    options: ByteLevelOptions

    def train(self, texts: Iterator[str]) -> Any:
        """Raises InputError naming the largest possible vocab_size where the texts have no more pairs to merge."""
        options = self.options
        normalizer = vocabulary.normalizer(options.normalization, marked=False)
        merging = options.vocab_size > len(vocabulary.SPECIAL) + len(BYTE_CHARACTERS)
        # Bytes alone learn nothing, but an empty training split is a mistake for them, too.
        prepared = vocabulary.normalized(texts, normalizer, options.max_lines if merging else 1)
        # A space before the first word makes it the same token as inside a text. Bytes alone have no words.
        # In a sequence, because transformers 4 sets add_prefix_space of a bare one back to False.
        pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(add_prefix_space=merging, use_regex=merging)])
        learned, merges = self._learn(prepared, pre_tokenizer) if merging else ([], [])
        tokens = [*vocabulary.SPECIAL, *BYTE_CHARACTERS, *learned]
        vocabulary.refuse_too_large(options.vocab_size, len(tokens))
        tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizer
        first_space = [decoders.Strip(" ", left=1, right=0)] if merging else []
        tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), *first_space])
        return vocabulary.wrapped(tokenizer)

    def _learn(
        self, texts: list[str], pre_tokenizer: pre_tokenizers.PreTokenizer
    ) -> tuple[list[str], list[tuple[str, str]]]:
        """Tokens beyond the bytes in the order of their ids, and merges in the order they were learned."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizer
        trainer = trainers.BpeTrainer(
            vocab_size=self.options.vocab_size - len(vocabulary.SPECIAL),
            show_progress=False,
            initial_alphabet=list(BYTE_CHARACTERS),
            limit_alphabet=len(BYTE_CHARACTERS),
        )
        tokenizer.train_from_iterator(iter(texts), trainer)
        model = json.loads(tokenizer.to_str())["model"]
        tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
        return tokens[len(BYTE_CHARACTERS) :], [tuple(merge) for merge in model["merges"]]
