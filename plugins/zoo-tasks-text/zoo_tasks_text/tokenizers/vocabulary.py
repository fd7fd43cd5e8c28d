"""What the trained tokenizers share: normalisation, special tokens, and the transformers tokenizer around them."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors

from zoo.errors import InputError
from zoo.tasks import TokenizerTrainer
from zoo_tasks_text.tokenizers.options import VocabularyOptions

PAD, EOS, BOS, UNK = "<pad>", "</s>", "<s>", "<unk>"
SPECIAL = (PAD, EOS, BOS, UNK)
"""Their places are their ids: pad 0, eos 1, bos 2, unk 3."""
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_RESERVED = r"<(?=(?:pad|/?s|unk|0x[0-9A-F]{2})>)"
SPACE = "▁"
"""The mark that stands for a space (and for the start of the text) in pieces, as in SentencePiece."""


class VocabularyTrainer(TokenizerTrainer):
    """One that is asked for so many tokens."""

    options: VocabularyOptions

    @property
    def asked_for(self) -> int:
        return self.options.vocab_size


def normalizer(normalization: Literal["nfkc", "none"], *, marked: bool = True) -> normalizers.Normalizer:
    """Unicode form, then white space: runs become one space, none at the ends.

    Training uses this very object, so that what is trained on and what is tokenised cannot drift apart. `marked`:
    pieces mark spaces with `SPACE`, which then cannot be told from a space once they are joined, and becomes one here.
    """
    steps: list[normalizers.Normalizer] = [normalizers.NFKC()] if normalization == "nfkc" else []
    steps += [normalizers.Replace(Regex(rf"[\s{SPACE}]+" if marked else r"\s+"), " "), normalizers.Strip()]
    return normalizers.Sequence(steps)


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Words that keep their leading space, cut inside whatever spells a special token.

    A text that spells "</s>" is text. Without the cut, the model would find its own special token in it, and data
    could end a sentence.
    """
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always"), reserved_cut()]
    )


def reserved_cut() -> pre_tokenizers.PreTokenizer:
    """Cuts between the first two characters of whatever spells a special token or a byte."""
    return pre_tokenizers.Split(Regex(_RESERVED), behavior="merged_with_previous")


def decoder() -> decoders.Decoder:
    """Pieces to text: marks to spaces, byte pieces to characters, without the space before the first word."""
    return decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", left=1, right=0),
        ]
    )


def sampled(texts: Iterable[str], most: int) -> list[str]:
    """At most `most` of the texts that are not blank, each as likely as any other, in their order.

    Algorithm R (Vitter 1985, section 2) with a fixed seed: one walk, and no more than the sample in memory.
    """
    draw = random.Random(0)
    kept: list[tuple[int, str]] = []
    for place, text in enumerate(text for text in texts if not text.isspace() and text):
        if place < most:
            kept.append((place, text))
        elif (chosen := int(draw.random() * (place + 1))) < most:
            kept[chosen] = (place, text)
    return [text for _, text in sorted(kept)]


def normalized(texts: Iterable[str], by: normalizers.Normalizer, most: int) -> list[str]:
    """Texts as the tokenizer will see them, a sample of them above `most`, empty ones left out.

    Raises InputError where none is left.
    """
    found = [text for text in map(by.normalize_str, sampled(texts, most)) if text]
    if not found:
        raise InputError("no text to train a tokenizer on: the training split is empty")
    return found


def refuse_too_large(wanted: int, found: int) -> None:
    """Raise InputError where the texts gave fewer tokens than the options ask for."""
    if found < wanted:
        raise InputError(f"vocab_size {wanted} is too large for the training texts: at most {found}")


def without_reserved(text: str) -> str:
    """The text with a space inside whatever spells a special token, for trainers that take no pre-tokenizer."""
    return re.sub(_RESERVED, "< ", text)


def covered_characters(texts: Iterable[str], coverage: float) -> list[str]:
    """The fewest characters that make up `coverage` of all occurrences, most frequent first, ties by code point."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    del counts[" "]
    wanted = coverage * sum(counts.values())
    covered, kept = 0, []
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if covered >= wanted:
            break
        covered += count
        kept.append(character)
    return kept


def finished(tokenizer: Tokenizer, normalization: Literal["nfkc", "none"]) -> Any:
    """A `transformers.PreTrainedTokenizerFast` around a model of pieces whose first four tokens are `SPECIAL`."""
    tokenizer.normalizer = normalizer(normalization)
    tokenizer.pre_tokenizer = pre_tokenizer()
    tokenizer.decoder = decoder()
    return wrapped(tokenizer)


def wrapped(tokenizer: Tokenizer) -> Any:
    """A `transformers.PreTrainedTokenizerFast` around a tokenizer that lacks nothing but its special tokens."""
    from transformers import PreTrainedTokenizerFast

    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", pair=f"$A {EOS} $B {EOS}", special_tokens=[(EOS, SPECIAL.index(EOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        bos_token=BOS,
        unk_token=UNK,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        # Else transformers itself looks for special tokens in the text.
        split_special_tokens=True,
    )
