"""Options of the tasks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from zoo.spec.options import Chosen, Options, Slot
from zoo_tasks_text.languages import Language

Count = Annotated[int, Field(ge=1)]
ContextKind = Literal["true", "shuffled", "noise", "none"]
EvaluationTag = Literal["correct", "wrong", "random", "none"]


class ParallelOptions(Options):
    """What every task over parallel text has."""

    corpus: Annotated[Chosen, Slot("corpus")] = Field(description="Parallel text")
    source: Language = Field(description="Language that is read")
    target: Language = Field(description="Language that is written")
    max_examples: Count | None = Field(
        default=None, description="Train on N examples only, chosen by hash; dev and test stay whole"
    )
    tag: Literal["none", "domain"] = Field(
        default="none", description="domain: the source begins with its domain as one token, such as <honorific>"
    )
    untagged: float = Field(
        default=0.0, ge=0, le=1, description="Share of training examples that go without their tag, chosen by hash"
    )
    evaluation_tag: EvaluationTag = Field(
        default="correct", description="Tag of dev and test examples: their own, another, any, or none"
    )

    @model_validator(mode="after")
    def _corpus_has_the_languages(self) -> ParallelOptions:
        if self.source == self.target:
            raise ValueError(f"source and target are both '{self.source}'")
        known = corpus_languages(self.corpus)
        for side, language in (("source", self.source), ("target", self.target)):
            if known and language not in known:
                raise ValueError(f"{side} '{language}' is not in corpus {self.corpus.name} (has {', '.join(known)})")
        return self

    @model_validator(mode="after")
    def _tags_belong_together(self) -> ParallelOptions:
        if self.tag == "none" and (self.untagged or self.evaluation_tag != "correct"):
            name = "untagged" if self.untagged else "evaluation_tag"
            raise ValueError(f"{name} says how tags are used, but tag is none: set tag to domain")
        return self


class TranslationOptions(ParallelOptions):
    """Translation of one sentence at a time."""


class DocToSentOptions(ParallelOptions):
    """Translation of one sentence that is read with the source sentences before it."""

    context_sentences: int = Field(
        default=1, ge=1, le=100, description="Previous source sentences k of the same document; fewer at its start"
    )
    context_as: Literal["prefix", "second-input"] = Field(
        default="prefix",
        description="prefix: context and sentence are one source, a line each; second-input: the context is read by a "
        "second encoder",
    )
    context: ContextKind = Field(
        default="true",
        description="What stands as context: true: the sentences before; shuffled: those of another document; noise: "
        "words drawn by their frequency, as many as the true ones; none: nothing",
    )
    evaluation_context: ContextKind | None = Field(
        default=None, description="What stands as context in dev and test; as in training where absent"
    )


class DocToDocOptions(ParallelOptions):
    """Translation of several sentences of a document at once."""

    sentences: int = Field(default=4, ge=2, le=100, description="Sentences k read and written at once, a line each")
    context: Literal["true", "shuffled"] = Field(
        default="true",
        description="true: k sentences that follow each other; shuffled: k sentences of documents drawn by hash",
    )


def corpus_languages(corpus: Chosen) -> tuple[str, ...]:
    """The languages of a corpus as far as its options or traits tell; empty where they do not."""
    languages = getattr(corpus.options, "languages", None) or corpus.component.traits.get("languages", ())
    return tuple(languages)
