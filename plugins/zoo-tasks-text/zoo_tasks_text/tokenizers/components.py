"""The tokenizers, as the registry lists them. Light."""

from collections.abc import Iterator

from zoo.registry import Component


def components() -> Iterator[Component]:
    yield Component(
        kind="tokenizer",
        name="unigram",
        target="zoo_tasks_text.tokenizers.unigram:Unigram",
        options="zoo_tasks_text.tokenizers.options:UnigramOptions",
        summary="Unigram language-model pieces, trained by SentencePiece",
        references=("arXiv:1804.10959", "arXiv:1808.06226"),
        traits={"example": {"vocab_size": 200}},
    )
    yield Component(
        kind="tokenizer",
        name="bpe",
        target="zoo_tasks_text.tokenizers.bpe:Bpe",
        options="zoo_tasks_text.tokenizers.options:TokenizerOptions",
        summary="Byte-pair encoding of characters",
        references=("arXiv:1508.07909",),
        traits={"example": {"vocab_size": 200}},
    )
    yield Component(
        kind="tokenizer",
        name="byte-level",
        target="zoo_tasks_text.tokenizers.byte_level:ByteLevel",
        options="zoo_tasks_text.tokenizers.options:ByteLevelOptions",
        summary="Byte-pair encoding of UTF-8 bytes, or bytes alone (vocab_size 260): no text is unknown",
        references=("arXiv:1909.03341", "arXiv:2105.13626"),
        traits={"example": {"vocab_size": 320}},
    )
    yield Component(
        kind="tokenizer",
        name="word",
        target="zoo_tasks_text.tokenizers.word:Word",
        options="zoo_tasks_text.tokenizers.options:WordOptions",
        summary="The most frequent words; Han and kana by character",
        traits={"example": {"vocab_size": 153}},
    )
    yield Component(
        kind="tokenizer",
        name="pretrained",
        target="zoo_tasks_text.tokenizers.pretrained:Pretrained",
        summary="The tokenizer of the pretrained model that the spec begins with (model.from), as it is",
        traits={"pretrained": True},
    )
