"""The task of translating one sentence at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import InputError
from zoo.tasks import DataHome, Example, PreparedCorpus, PreparedTask, Split, Task
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_tasks_text.corpora.prepared import canonical
from zoo_tasks_text.tasks.options import TranslationOptions


class Translation(Task):
    """Translation from `source` to `target` over one corpus."""

    options: TranslationOptions

    @property
    def name(self) -> str:
        """``<corpus family>-<source>-<target>``: the reverse direction is another board."""
        corpus = self.options.corpus
        family = getattr(corpus.options, "name", None) or corpus.component.traits.get("family", corpus.name)
        return f"{family}-{self.options.source}-{self.options.target}"

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedTranslation:
        corpus: PreparedCorpus = self.options.corpus.create().prepare(home, progress)
        for language in (self.options.source, self.options.target):
            if language not in corpus.languages:
                raise InputError(
                    f"language '{language}' is not in corpus {corpus.name} (has {', '.join(corpus.languages)})"
                )
        return PreparedTranslation(corpus, self.options.source, self.options.target, self.options.max_examples)


class PreparedTranslation(PreparedTask):
    """The examples of a translation task, read from its corpus."""

    def __init__(self, corpus: PreparedCorpus, source: str, target: str, max_examples: int | None) -> None:
        self.corpus = corpus
        self._source, self._target, self._limit = source, target, max_examples
        identity = {"corpus": corpus.revision, "source": source, "target": target, "max_examples": max_examples}
        self.revision = "sha256:" + hashlib.sha256(canonical(identity).encode()).hexdigest()
        self._examples: dict[Split, list[Example]] = {}
        sizes = {split: len(self.examples(split)) for split in SPLITS}
        self.facts: Mapping[str, Any] = {"corpus": dict(corpus.facts), "examples": sizes}

    def examples(self, split: Split) -> Sequence[Example]:
        if split not in self._examples:
            examples = [
                Example(
                    id=f"{pair.document}#{pair.order}" if pair.document else f"{split}:{index}",
                    source=pair.texts[self._source],
                    target=pair.texts[self._target],
                    document=pair.document,
                    domain=pair.domain,
                    checks=pair.checks.get(self._target, ()),
                    contrasts=pair.contrasts.get(self._target, ()),
                )
                for index, pair in enumerate(self.corpus.pairs(split))
            ]
            if split == "train" and self._limit is not None:
                examples = _sampled(examples, self._limit)
            self._examples[split] = examples
        return self._examples[split]


def _sampled(examples: list[Example], limit: int) -> list[Example]:
    """`limit` examples in their order. By hash: the first ones would be few documents, and a larger limit keeps all."""
    chosen = sorted(examples, key=lambda example: hashlib.sha256(example.id.encode()).digest())[:limit]
    ids = {example.id for example in chosen}
    return [example for example in examples if example.id in ids]
