"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator
from typing import Any

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
        traits={"example": {"vocab_size": 200}},
    )
    yield Component(
        kind="tokenizer",
        name="bpe",
        target="zoo_tasks_text.bpe:Bpe",
        options=f"{_OPTIONS}:TokenizerOptions",
        summary="Byte-pair encoding of characters",
        references=("arXiv:1508.07909",),
        traits={"example": {"vocab_size": 200}},
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

    for language, name in (("zh", "Chinese"), ("ja", "Japanese")):
        yield Component(
            kind="corpus",
            name=f"office-{language}-en",
            target=f"zoo_tasks_text.office:Office{name}",
            options=f"{_OPTIONS}:OfficeOptions",
            summary=f"LibreOffice help in {name} and English, built from Debian's packages (10 MB)",
            traits={"languages": (language, "en"), "family": "office", "network": True},
        )
    yield Component(
        kind="corpus",
        name="parallel-files",
        target="zoo_tasks_text.files:FilesCorpus",
        options=f"{_OPTIONS}:FilesOptions",
        summary="Your own parallel text: TSV, JSONL or two line-aligned files",
        traits={
            "network": False,
            "example": {"name": "mine", "languages": ["zh", "en"], "train": "train.tsv"},
            "files": True,
        },
    )


def _metrics() -> Iterator[Component]:
    yield _metric(
        "bleu",
        "Bleu",
        "Corpus BLEU by sacrebleu, with signature and bootstrap interval",
        references=("doi:10.3115/1073083.1073135", "arXiv:1804.08771"),
    )
    yield _metric(
        "chrf",
        "Chrf",
        "Character n-gram F-score by sacrebleu, with signature and bootstrap interval",
        references=("doi:10.18653/v1/W15-3049",),
    )
    yield _metric(
        "ter",
        "Ter",
        "Translation edit rate by sacrebleu: edits for 100 reference words, lower is better",
        references=("ACL:2006.amta-papers.25",),
    )
    yield _metric(
        "cer",
        "Cer",
        "Character error rate: edits over reference characters, lower is better",
        references=("doi:10.21437/Interspeech.2004-668",),
    )
    yield _metric(
        "comet",
        "Comet",
        "Neural score of source, output and reference by unbabel-comet (pip install 'zoo-registry[comet]')",
        references=("arXiv:2009.09025", "ACL:2022.wmt-1.52"),
        traits={"files": True, "example": {"model": "Unbabel/wmt22-comet-da"}},
    )
    yield _metric("exact-match", "ExactMatch", "Share of outputs equal to their reference")


def _metric(
    name: str, target: str, summary: str, *, references: tuple[str, ...] = (), traits: dict[str, Any] | None = None
) -> Component:
    return Component(
        kind="metric",
        name=name,
        target=f"zoo_tasks_text.metrics.{name.replace('-', '_')}:{target}",
        options=f"zoo_tasks_text.metrics.options:{target}Options",
        summary=summary,
        references=references,
        traits=traits or {},
    )
