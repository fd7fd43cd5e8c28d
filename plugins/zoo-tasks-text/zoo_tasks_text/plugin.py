"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_tasks_text.options"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield from _corpora()
    yield Component(
        kind="task",
        name="translation",
        target="zoo_tasks_text.translation:Translation",
        options=f"{_OPTIONS}:TranslationOptions",
        summary="Translate one sentence at a time",
        traits={"example": {"corpus": "generated", "source": "qaa", "target": "qab"}},
    )
    yield Component(
        kind="tokenizer",
        name="unigram",
        target="zoo_tasks_text.unigram:Unigram",
        options=f"{_OPTIONS}:TokenizerOptions",
        summary="Unigram language-model pieces, trained by SentencePiece",
        references=("arXiv:1804.10959", "arXiv:1808.06226"),
    )
    yield Component(
        kind="tokenizer",
        name="bpe",
        target="zoo_tasks_text.bpe:Bpe",
        options=f"{_OPTIONS}:TokenizerOptions",
        summary="Byte-pair encoding of characters",
        references=("arXiv:1508.07909",),
    )
    yield from _metrics()


def _corpora() -> Iterator[Component]:
    yield Component(
        kind="corpus",
        name="generated",
        target="zoo_tasks_text.generated:GeneratedCorpus",
        options=f"{_OPTIONS}:GeneratedOptions",
        summary="Small generated language pair with reordering and agreement; needs no download",
        traits={"languages": ("qaa", "qab"), "family": "generated", "network": False},
    )


def _metrics() -> Iterator[Component]:
    yield Component(
        kind="metric",
        name="bleu",
        target="zoo_tasks_text.metrics:Bleu",
        options=f"{_OPTIONS}:BleuOptions",
        summary="Corpus BLEU by sacrebleu, with signature and bootstrap interval",
        references=("doi:10.3115/1073083.1073135", "arXiv:1804.08771"),
    )
    yield Component(
        kind="metric",
        name="chrf",
        target="zoo_tasks_text.metrics:Chrf",
        options=f"{_OPTIONS}:ChrfOptions",
        summary="Character n-gram F-score by sacrebleu, with signature and bootstrap interval",
        references=("doi:10.18653/v1/W15-3049",),
    )
    yield Component(
        kind="metric",
        name="exact-match",
        target="zoo_tasks_text.metrics:ExactMatch",
        options=f"{_OPTIONS}:ExactMatchOptions",
        summary="Share of outputs equal to their reference",
    )
