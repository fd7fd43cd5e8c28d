"""Options of the corpora."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from zoo.spec.options import Chosen, Options, Slot
from zoo_tasks_text.corpora.generated.options import GeneratedOptions as GeneratedOptions
from zoo_tasks_text.languages import Language


class DebianOptions(Options):
    """The corpora that are built from Debian's packages."""

    revision: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Revision that must come out; where absent, what the packages of today give is taken",
    )


class ReversalOptions(Options):
    """Random sequences and their reverses."""

    pairs: int = Field(default=10_000, ge=1, le=1_000_000, description="Training pairs")
    dev_pairs: int = Field(default=500, ge=1, le=100_000, description="Dev pairs")
    test_pairs: int = Field(default=500, ge=1, le=100_000, description="Test pairs")
    seed: int = Field(default=1, ge=0, lt=2**32, description="Seed of the sequences")
    symbols: int = Field(default=32, ge=2, le=70, description="Different words; each is drawn with equal chance")
    min_length: int = Field(default=4, ge=1, le=1_000, description="Fewest words of a sequence")
    max_length: int = Field(default=12, ge=1, le=1_000, description="Most words of a sequence")

    @model_validator(mode="after")
    def _lengths_in_order(self) -> ReversalOptions:
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is above max_length {self.max_length}")
        return self


COMPRESSED = (".gz", ".bz2", ".xz")
EXTRA_COLUMNS = ("document", "order", "domain", "licence")


def refuse_columns(columns: tuple[str, ...], languages: tuple[str, str]) -> None:
    """Raise ValueError where `columns` are not both languages once, and what else a pair has at most once."""
    for name in columns:
        if name not in {*languages, *EXTRA_COLUMNS}:
            raise ValueError(f"column '{name}' is none of {', '.join([*languages, *EXTRA_COLUMNS])}")
        if columns.count(name) > 1:
            raise ValueError(f"column '{name}' is named twice")
    if missing := [language for language in languages if language not in columns]:
        raise ValueError(f"columns lack {' and '.join(missing)}")


class FilesOptions(Options):
    """The user's own parallel text."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,60}$", description="Name of the corpus on boards and in folders")
    languages: tuple[Language, Language] = Field(
        description="The two language codes, in the order of columns or files", strict=False
    )
    train: str | list[str] = Field(
        description="A TSV or JSONL file, or a list of two line-aligned text files, plain or .gz, .bz2, .xz; "
        "relative names are taken from the working directory, not from the spec's"
    )
    dev: str | list[str] | None = Field(
        default=None, description="Dev data in the same form; split off train where absent"
    )
    test: str | list[str] | None = Field(
        default=None, description="Test data in the same form; split off train where absent"
    )
    format: Literal["auto", "tsv", "jsonl", "text"] = Field(
        default="auto",
        description="Form of the files; auto: two files are text, .jsonl and .ndjson JSONL, .tsv and .txt TSV",
    )
    fields: tuple[str, str] | None = Field(
        default=None,
        description="JSONL field names of the two languages; the language codes where absent",
        strict=False,
    )
    columns: tuple[str, ...] | None = Field(
        default=None,
        description="What the columns of a TSV hold: both languages, and any of document, order, domain and licence; "
        "the two languages where absent",
        strict=False,
    )
    document_field: str = Field(default="document", description="JSONL field of the document id, where lines have one")
    order_field: str = Field(
        default="order", description="JSONL field of the place within the document; the number of the line where absent"
    )
    domain_field: str = Field(default="domain", description="JSONL field of the domain, where lines have one")
    licence_field: str = Field(default="licence", description="JSONL field of a line's own licence, where it has one")
    contrast_field: str = Field(
        default="contrasts",
        description="JSONL field of wrong translations: a list in the second language, or such lists by language",
    )
    dev_fraction: float = Field(
        default=0.02, gt=0, lt=0.5, description="Share of train split off as dev where no dev is given"
    )
    test_fraction: float = Field(
        default=0.02, gt=0, lt=0.5, description="Share of train split off as test where no test is given"
    )
    licence: str = Field(default="unknown", max_length=100, description="Licence of the data, such as CC-BY-4.0")

    @model_validator(mode="after")
    def _files_fit_the_format(self) -> FilesOptions:
        if self.languages[0] == self.languages[1]:
            raise ValueError(f"languages are both '{self.languages[0]}'")
        if self.columns is not None:
            refuse_columns(self.columns, self.languages)
        for split in ("train", "dev", "test"):
            files = getattr(self, split)
            if isinstance(files, list) and len(files) != 2:
                raise ValueError(f"{split} lists {len(files)} files, expected two (one a language) or one name")
            if files is not None:
                self.form_of(files)
        return self

    def form_of(self, files: str | list[str]) -> Literal["tsv", "jsonl", "text"]:
        """The form of `files`. Raises ValueError where it cannot be told or the format option contradicts it."""
        if isinstance(files, list):
            if self.format not in {"auto", "text"}:
                raise ValueError(f"two files are text, but format is {self.format}")
            return "text"
        if self.format == "text":
            raise ValueError(f"format text takes a list of two files, found '{files}'")
        if self.format != "auto":
            return self.format
        path = PurePath(files)
        ending = PurePath(path.stem if path.suffix.lower() in COMPRESSED else path).suffix.lower()
        if ending in {".jsonl", ".ndjson"}:
            return "jsonl"
        if ending in {".tsv", ".txt"}:
            return "tsv"
        raise ValueError(f"'{files}' does not end in .tsv, .txt, .jsonl or .ndjson (and .gz, .bz2 or .xz): set format")


class MixPart(Options):
    """One corpus of a mix."""

    corpus: Annotated[Chosen, Slot("corpus")] = Field(description="Corpus that is mixed in")
    weight: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="How often its training documents stand in an epoch: 2.5 gives each twice and half of them a third "
        "time, 0.5 half of them; 0 takes its dev and test alone",
    )
    tag: str | None = Field(
        default=None,
        min_length=1,
        max_length=60,
        description="Domain of its pairs, which the option tag of a task puts before the source; the pairs' own where "
        "absent",
    )


class MixOptions(Options):
    """Several corpora as one."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,60}$", description="Name of the mix on boards and in folders")
    languages: tuple[Language, Language] = Field(
        description="The two language codes taken from each part", strict=False
    )
    parts: list[MixPart] = Field(min_length=1, max_length=100, description="The corpora, with weights and tags")

    @model_validator(mode="after")
    def _parts_fit(self) -> MixOptions:
        if self.languages[0] == self.languages[1]:
            raise ValueError(f"languages are both '{self.languages[0]}'")
        if not any(part.weight for part in self.parts):
            raise ValueError("every part has weight 0: nothing is left to train on")
        seen: set[str] = set()
        for part in self.parts:
            name = getattr(part.corpus.options, "name", None) or part.corpus.name
            if name in seen:
                raise ValueError(f"corpus {name} stands in two parts: give it one part with a larger weight")
            seen.add(name)
        return self
