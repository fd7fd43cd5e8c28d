"""Options of the tasks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from zoo.spec.options import Chosen, Options, Slot
from zoo_tasks_text.languages import Language

Count = Annotated[int, Field(ge=1)]


class TranslationOptions(Options):
    """Translation of one sentence at a time."""

    corpus: Annotated[Chosen, Slot("corpus")] = Field(description="Parallel text")
    source: Language = Field(description="Language that is read")
    target: Language = Field(description="Language that is written")
    max_examples: Count | None = Field(
        default=None, description="Train on N pairs only, chosen by hash; dev and test stay whole"
    )

    @model_validator(mode="after")
    def _corpus_has_the_languages(self) -> TranslationOptions:
        if self.source == self.target:
            raise ValueError(f"source and target are both '{self.source}'")
        known = corpus_languages(self.corpus)
        for side, language in (("source", self.source), ("target", self.target)):
            if known and language not in known:
                raise ValueError(f"{side} '{language}' is not in corpus {self.corpus.name} (has {', '.join(known)})")
        return self


def corpus_languages(corpus: Chosen) -> tuple[str, ...]:
    """The languages of a corpus as far as its options or traits tell; empty where they do not."""
    languages = getattr(corpus.options, "languages", None) or corpus.component.traits.get("languages", ())
    return tuple(languages)
