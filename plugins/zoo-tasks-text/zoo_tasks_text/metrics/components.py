"""The metrics, as the registry lists them. Light."""

from collections.abc import Iterator
from typing import Any

from zoo.registry import Component


def components() -> Iterator[Component]:
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
    yield _metric(
        "rare-token-recall",
        "RareTokenRecall",
        "Share of the references' words that outputs have, for words of one band of training frequency: rare ones",
        references=("doi:10.3115/1073083.1073135",),
    )
    yield _metric(
        "contrastive",
        "Contrastive",
        "Share of examples whose reference the model finds likelier than each wrong translation of it",
        references=("arXiv:1612.04629",),
        traits={"outputs": "likelihoods"},
    )
    yield _metric(
        "cer-by-stratum",
        "CerByStratum",
        "Character error rate, and that of each group of examples, such as lines of one aspect and height",
    )
    yield _metric(
        "omitted",
        "Omitted",
        "Share of a document's sentences that are left out: lower is better",
        traits={"outputs": "documents"},
    )
    yield _metric(
        "phenomenon-accuracy",
        "PhenomenonAccuracy",
        "Share of words decided elsewhere (homographs, pronouns, terms, ...) that are right, by the task's checks",
        references=("doi:10.1080/01621459.1927.10502953",),
        traits={"example": {"phenomenon": "homograph"}},
    )


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
