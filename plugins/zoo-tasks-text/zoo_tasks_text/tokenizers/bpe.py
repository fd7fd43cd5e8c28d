"""Byte-pair encoding tokenizer (Sennrich et al. 2016, arXiv:1508.07909), trained by `tokenizers`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer, models, trainers

from zoo.errors import InputError
from zoo_tasks_text.tokenizers import vocabulary
from zoo_tasks_text.tokenizers.options import TokenizerOptions


class Bpe(vocabulary.VocabularyTrainer):
    """Merges of characters, most frequent pair first."""

    options: TokenizerOptions

    def train(self, texts: Iterator[str]) -> Any:
        """Raises InputError naming the largest or smallest possible vocab_size where the texts do not fit it."""
        options = self.options
        prepared = vocabulary.normalized(texts, vocabulary.normalizer(options.normalization), options.max_lines)
        characters = [vocabulary.SPACE, *vocabulary.covered_characters(prepared, options.character_coverage)]
        fixed = list(vocabulary.SPECIAL) + (list(vocabulary.BYTES) if options.byte_fallback else [])
        smallest = len(fixed) + len(characters)
        if options.vocab_size < smallest:
            raise InputError(
                f"vocab_size {options.vocab_size} is too small for character_coverage {options.character_coverage}: "
                f"at least {smallest}, or a lower character_coverage"
            )
        learned, merges = self._learn(prepared, characters, options.vocab_size - len(fixed))
        tokens = fixed + learned
        vocabulary.refuse_too_large(options.vocab_size, len(tokens))
        model = models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=merges,
            unk_token=vocabulary.UNK,
            fuse_unk=True,
            byte_fallback=options.byte_fallback,
        )
        return vocabulary.finished(Tokenizer(model), options.normalization)

    @staticmethod
    def _learn(texts: list[str], characters: list[str], size: int) -> tuple[list[str], list[tuple[str, str]]]:
        """Tokens in the order of their ids, and merges in the order they were learned."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = vocabulary.pre_tokenizer()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            show_progress=False,
            # The alphabet is chosen here: `tokenizers` breaks ties between equally rare characters by chance.
            initial_alphabet=characters,
            limit_alphabet=len(characters),
        )
        tokenizer.train_from_iterator(iter(texts), trainer)
        model = json.loads(tokenizer.to_str())["model"]
        tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
        return tokens, [tuple(merge) for merge in model["merges"]]
