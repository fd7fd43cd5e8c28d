"""Options of pages."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, field_validator, model_validator

from zoo.spec.options import Chosen, Options, Slot
from zoo_tasks_vision.fonts.options import FontOptions, PackageName
from zoo_tasks_vision.metrics.options import Edges

Dpi = Annotated[int, Field(ge=20, le=600)]


PDF_PACKAGES = (
    "debian-reference-en",
    "debian-reference-ja",
    "debmake-doc",
    "developers-reference",
    "developers-reference-fr",
    "developers-reference-ja",
    "installation-guide-amd64",
    "maint-guide",
    "maint-guide-ja",
    "octave-doc",
    "r-doc-pdf",
)


class PdfOptions(Options):
    """Where PDFs come from, and which are held out.

    A document is all translations of one book: files of one name but for the language in it (``guide.en.pdf`` and
    ``guide.ja.pdf``), of packages of one name likewise.
    """

    later: ClassVar[frozenset[str]] = frozenset({"held_out_fonts"})

    packages: list[PackageName] = Field(
        default=list(PDF_PACKAGES), description="Debian packages with PDFs, fetched and unpacked, never installed"
    )
    folders: list[str] = Field(default=[], description="Own folders of .pdf files, searched through")
    dev: list[str] = Field(default=[], description="Documents that are dev's; drawn by their names where empty")
    test: list[str] = Field(default=[], description="Documents that are test's; drawn likewise")
    held_out: float = Field(
        default=0.15, gt=0, lt=0.5, description="Share of the documents, at least one, that dev has, and test as well"
    )
    held_out_fonts: bool = Field(
        default=False,
        description="Documents that are set in one family of fonts stay together, so that dev and test have fonts of "
        "their own; the share is then of such groups",
    )
    pages_of_a_file: int = Field(
        default=200, ge=1, le=100_000, description="Pages of one PDF at the most, spread evenly over it"
    )
    dpi: list[Dpi] = Field(
        default=[80, 100, 120, 150], min_length=1, max_length=16, description="Resolutions, alike often"
    )
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of the resolutions")


class DocumentPagesOptions(PdfOptions):
    """Pages of PDFs with the boxes of their lines."""


class TypesetLinesOptions(PdfOptions):
    """Lines of PDFs, cut out, with their text."""

    margin: float = Field(
        default=0.1, ge=0, le=1, description="What is left around a line's box on each side, in heights of the line"
    )
    lines: int = Field(default=100_000, ge=1, description="Training lines at the most, spread evenly over the pages")
    dev_lines: int = Field(default=2_000, ge=1, description="Dev lines at the most")
    test_lines: int = Field(default=6_000, ge=1, description="Test lines at the most")
    aspects: Edges = Field(
        default=[2.0, 5.0, 15.0, 40.0], description="Edges of the bands of width by height of the stratum `aspect`"
    )
    heights: Edges = Field(
        default=[8.0, 16.0, 32.0, 64.0], description="Edges of the bands of the stratum `height`, in pixels"
    )


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
