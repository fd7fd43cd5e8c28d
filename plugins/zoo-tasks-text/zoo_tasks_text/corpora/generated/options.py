"""Options of the generated language pair."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from zoo.spec.options import Options

Share = Annotated[float, Field(ge=0, le=1)]
Words = Annotated[int, Field(ge=0, le=100)]
Sentences = Annotated[int, Field(ge=1, le=100)]
Morphology = Literal["none", "case", "agglutinative"]


def _told(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """One line for both of what a word order may be."""
    try:
        return handler(value)
    except ValidationError:
        raise ValueError("expected sov or a number from 0 to 1") from None


WordOrder = Annotated[Literal["sov"] | Share, WrapValidator(_told)]


class GeneratedOptions(Options):
    """The generated language pair. As they stand: single sentences, no phenomena but reordering and agreement."""

    pairs: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000_000,
        description="Training pairs; making them takes up to 50 bytes of memory each, 75 for a moment",
    )
    dev_pairs: int = Field(default=500, ge=1, le=100_000, description="Dev pairs")
    test_pairs: int = Field(default=500, ge=1, le=100_000, description="Test pairs")
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of the lexicon and of the sentences")
    vocabulary: int = Field(
        default=200,
        ge=8,
        le=5_000,
        description="Number of stems in the lexicon, those of homographs and terms not counted",
    )
    zipf: float = Field(
        default=0.0,
        ge=0,
        le=5,
        description="Exponent of the words' frequencies: the word of rank r of its class is drawn with a weight of "
        "1 / r**zipf; 0: all alike",
    )
    min_clauses: int = Field(default=1, ge=1, le=50, description="Fewest clauses of a sentence (2 to 8 words each)")
    max_clauses: int = Field(
        default=2,
        ge=1,
        le=50,
        description="Most clauses of a sentence; one that what it must hold does not fit in gets more",
    )
    word_order: WordOrder = Field(
        default="sov",
        description="Order of the target: sov (adverb first, verb last, adjective after its noun), or the share of "
        "word pairs that are turned round against the source (normalised Kendall tau distance): 0 the source's order, "
        "1 its reverse",
    )
    morphology: Morphology = Field(
        default="case",
        description="Of the target: none (bare stems; the source has no number either), case (plural, accusative, "
        "agreement in gender and number), agglutinative (case on every noun and adjective, verbs that agree with "
        "subject and object: up to six suffixes in one word)",
    )
    homographs: int = Field(
        default=0, ge=0, le=1_000, description="Source nouns with two translations, decided by a cue in the sentence"
    )
    homograph_share: Share = Field(default=0.5, description="Share of the sentences that hold one homograph")
    homograph_distance: tuple[Words, Words] = Field(
        default=(0, 8), description="Fewest and most source words between the cue and its homograph", strict=False
    )
    homograph_cue: Literal["in-reach", "absent"] = Field(
        default="in-reach", description="absent: the same pairs without the cue, so that nothing decides the homograph"
    )
    entities: Share = Field(default=0.0, description="Share of the sentences with a name; dev and test names are new")
    entity_form: Literal["transliterate", "copy"] = Field(
        default="transliterate", description="What the target does with a name: letters mapped one by one, or kept"
    )
    registers: Literal["none", "domain"] = Field(
        default="none",
        description="domain: half of the documents are plain and half honorific; verbs and pronouns of the target "
        "show it, of the source only the domain does",
    )
    document_sentences: int = Field(default=1, ge=1, le=1_000, description="Sentences of a document; 1: no documents")
    pronouns: Share = Field(
        default=0.0,
        description="Chance that a sentence marks a topic for the pronoun of a later one, unless one still waits; the "
        "pronoun's target form is decided by the gender of that noun",
    )
    context_distance: tuple[Sentences, Sentences] = Field(
        default=(1, 1), description="Fewest and most sentences from a topic to its pronoun", strict=False
    )
    terms: int = Field(
        default=0,
        ge=0,
        le=1_000,
        description="Source nouns with two translations, one of which the first sentence of a document decides on",
    )
    term_share: Share = Field(default=0.5, description="Share of a document's later sentences that hold its term")
    noise: Share = Field(
        default=0.0, description="Share of the training pairs whose target is that of another such pair (shuffled)"
    )
    rare_words: int = Field(
        default=10,
        ge=0,
        le=1_000_000,
        description="Words of dev and test that stand in 1 to N training sources are checked as rare-word; 0: none",
    )

    @model_validator(mode="after")
    def _ranges_in_order(self) -> GeneratedOptions:
        if self.min_clauses > self.max_clauses:
            raise ValueError(f"min_clauses {self.min_clauses} is above max_clauses {self.max_clauses}")
        for name in ("homograph_distance", "context_distance"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} begins at {low}, above its end {high}")
        return self

    @model_validator(mode="after")
    def _what_reaches_back_has_room(self) -> GeneratedOptions:
        if self.document_sentences == 1:
            for name in ("pronouns", "terms"):
                if getattr(self, name):
                    raise ValueError(f"{name} {getattr(self, name)} needs documents: set document_sentences above 1")
        if self.pronouns and self.context_distance[1] >= self.document_sentences:
            raise ValueError(
                f"context_distance ends at {self.context_distance[1]}, but a document of {self.document_sentences} "
                f"sentences reaches back {self.document_sentences - 1} at most"
            )
        if self.homograph_cue == "absent" and not self.homographs:
            raise ValueError("homograph_cue absent needs homographs: set their number")
        return self
