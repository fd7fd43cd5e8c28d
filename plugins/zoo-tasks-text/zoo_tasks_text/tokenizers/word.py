"""Word tokenizer: a token for each of the most frequent words, unk for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from zoo_tasks_text.tokenizers import vocabulary
from zoo_tasks_text.tokenizers.options import WordOptions
from zoo_tasks_text.tokenizers.vocabulary import SPACE

_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}ー"
"""Scripts without spaces; the prolonged sound mark belongs to no script of its own."""
_PUNCTUATION = r"\p{P}\p{S}"


class Word(vocabulary.VocabularyTrainer):
    """Words with the space before them, so that joining tokens gives the text back; characters of CJK scripts."""

    options: WordOptions

    def train(self, texts: Iterator[str]) -> Any:
        """Most frequent words first, ties by code points. Raises InputError where there are fewer than vocab_size."""
        options = self.options
        normalizer = vocabulary.normalizer(options.normalization)
        prepared = vocabulary.normalized(texts, normalizer, options.max_lines)
        counter = Tokenizer(models.WordLevel())
        counter.pre_tokenizer = words_of(options)
        trainer = trainers.WordLevelTrainer(
            vocab_size=options.vocab_size, show_progress=False, special_tokens=list(vocabulary.SPECIAL)
        )
        counter.train_from_iterator(iter(prepared), trainer)
        found = counter.get_vocab()
        vocabulary.refuse_too_large(options.vocab_size, len(found))
        tokenizer = Tokenizer(models.WordLevel(found, unk_token=vocabulary.UNK))
        tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = words_of(options)
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace(SPACE, " "), decoders.Fuse(), decoders.Strip(" ", left=1, right=0)]
        )
        return vocabulary.wrapped(tokenizer)


def words_of(options: WordOptions) -> pre_tokenizers.PreTokenizer:
    """Cuts a text into words, each with the mark of the space before it.

    A space before a CJK character is a token of its own (else each such character would need two), and none is put
    before a text that starts with one.
    """
    steps: list[pre_tokenizers.PreTokenizer] = [
        pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=False)
    ]
    kinds, others = [], SPACE
    if options.cjk == "characters":
        steps.append(pre_tokenizers.Split(Regex(rf"\A{SPACE}(?=[{_CJK}])"), behavior="removed"))
        kinds.append(f"[{_CJK}]")
        others += _CJK
    if options.punctuation == "apart":
        kinds.append(f"{SPACE}?(?!{SPACE})[{_PUNCTUATION}]")  # the mark is a symbol, too
        others += _PUNCTUATION
    pattern = "|".join([*kinds, f"{SPACE}?[^{others}]+"])
    steps.append(pre_tokenizers.Split(Regex(pattern), behavior="isolated"))
    return pre_tokenizers.Sequence([*steps, vocabulary.reserved_cut()])
