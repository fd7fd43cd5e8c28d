"""Options of pages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from zoo.spec.options import Chosen, Options, Slot
from zoo_tasks_vision.fonts.options import FontOptions

Dpi = Annotated[int, Field(ge=20, le=600)]


class GeneratedPagesOptions(Options):
    """Pages that are set from a corpus, with the boxes of their lines."""

    corpus: Annotated[Chosen, Slot("corpus")] = Field(description="Corpus whose text is set, split by split")
    language: str = Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", description="The language that is set")
    fonts: FontOptions = Field(
        default=FontOptions(), description="Fonts with TrueType outlines, and which are held out"
    )
    pages: int = Field(default=2_000, ge=1, le=1_000_000, description="Training pages")
    dev_pages: int = Field(default=100, ge=1, le=100_000, description="Dev pages")
    test_pages: int = Field(default=300, ge=1, le=100_000, description="Test pages")
    dpi: list[Dpi] = Field(
        default=[80, 100, 120, 150], min_length=1, max_length=16, description="Resolutions, alike often"
    )
    font_sizes: tuple[float, float] = Field(
        default=(5.0, 14.0), description="Smallest and largest type of running text, in points", strict=False
    )
    columns: int = Field(default=3, ge=1, le=6, description="Most columns of a page")
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of layouts, texts and fonts")

    @field_validator("font_sizes")
    @classmethod
    def _sizes_rise(cls, sizes: tuple[float, float]) -> tuple[float, float]:
        if not 2.0 <= sizes[0] <= sizes[1] <= 72.0:
            raise ValueError(f"font_sizes {list(sizes)}: expected two sizes from 2 to 72, the smaller first")
        return sizes

    @model_validator(mode="after")
    def _corpus_has_the_language(self) -> GeneratedPagesOptions:
        traits = self.corpus.component.traits
        known = tuple(getattr(self.corpus.options, "languages", None) or traits.get("languages", ()))
        if known and self.language not in known:
            raise ValueError(f"language '{self.language}' is not in corpus {self.corpus.name} (has {', '.join(known)})")
        return self
