"""Unigram language-model tokenizer (Kudo 2018, arXiv:1804.10959), trained by SentencePiece."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

import sentencepiece
from tokenizers import Tokenizer, models

from zoo.errors import InputError, ZooError
from zoo_tasks_text.tokenizers import vocabulary
from zoo_tasks_text.tokenizers.options import UnigramOptions

_TOO_LARGE = re.compile(r"Vocabulary size too high \(\d+\)\. Please set it to a value <= (\d+)")
_TOO_SMALL = re.compile(r"Vocabulary size is smaller than required_chars\. \d+ vs (\d+)")
_LONGEST = 65536
"""Bytes of the longest training text; SentencePiece leaves longer ones out (its own default is 4192)."""


class Unigram(vocabulary.VocabularyTrainer):
    """SentencePiece's unigram pieces and scores in a `tokenizers` model."""

    options: UnigramOptions

    def train(self, texts: Iterator[str]) -> Any:
        """Raises InputError naming the largest or smallest possible vocab_size where the texts do not fit it."""
        model = train_sentencepiece(texts, self.options)
        pieces = [(model.IdToPiece(index), model.GetScore(index)) for index in range(model.GetPieceSize())]
        unigram = models.Unigram(pieces, unk_id=model.unk_id(), byte_fallback=self.options.byte_fallback)
        return vocabulary.finished(Tokenizer(unigram), self.options.normalization)


def train_sentencepiece(texts: Iterator[str], options: UnigramOptions) -> sentencepiece.SentencePieceProcessor:
    """A SentencePiece unigram model of the normalised texts."""
    prepared = vocabulary.normalized(texts, vocabulary.normalizer(options.normalization), options.max_lines)
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=map(vocabulary.without_reserved, prepared),
            model_writer=written,
            model_type="unigram",
            vocab_size=options.vocab_size,
            character_coverage=options.character_coverage,
            # Normalised above: SentencePiece's own tables differ from those of `tokenizers`.
            normalization_rule_name="identity",
            byte_fallback=options.byte_fallback,
            pad_id=vocabulary.SPECIAL.index(vocabulary.PAD),
            eos_id=vocabulary.SPECIAL.index(vocabulary.EOS),
            bos_id=vocabulary.SPECIAL.index(vocabulary.BOS),
            unk_id=vocabulary.SPECIAL.index(vocabulary.UNK),
            pad_piece=vocabulary.PAD,
            eos_piece=vocabulary.EOS,
            bos_piece=vocabulary.BOS,
            unk_piece=vocabulary.UNK,
            max_sentence_length=_LONGEST,
            # More threads sum in another order, which changes scores in the last bits.
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _explained(str(error), options) from error
    model: sentencepiece.SentencePieceProcessor = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    return model


def _explained(message: str, options: UnigramOptions) -> ZooError:
    if found := _TOO_LARGE.search(message):
        return InputError(f"vocab_size {options.vocab_size} is too large for the training texts: at most {found[1]}")
    if found := _TOO_SMALL.search(message):
        return InputError(
            f"vocab_size {options.vocab_size} is too small for character_coverage {options.character_coverage}: "
            f"at least {found[1]}, or a lower character_coverage"
        )
    return ZooError(f"SentencePiece cannot train a tokenizer: {' '.join(message.split())}")
