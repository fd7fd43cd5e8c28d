"""Options of the corpora."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal

from pydantic import Field, model_validator

from zoo.spec.options import Options
from zoo_tasks_text.corpora.generated.options import GeneratedOptions as GeneratedOptions
from zoo_tasks_text.languages import Language


class DebianOptions(Options):
    """The corpora that are built from Debian's packages."""

    revision: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="Revision that must come out; where absent, what the packages of today give is taken",
    )


class FilesOptions(Options):
    """The user's own parallel text."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,60}$", description="Name of the corpus on boards and in folders")
    languages: tuple[Language, Language] = Field(
        description="The two language codes, in the order of columns or files", strict=False
    )
    train: str | list[str] = Field(
        description="A TSV or JSONL file, or a list of two line-aligned text files; "
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
    document_field: str = Field(default="document", description="JSONL field of the document id, where lines have one")
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
        ending = PurePath(files).suffix.lower()
        if ending in {".jsonl", ".ndjson"}:
            return "jsonl"
        if ending in {".tsv", ".txt"}:
            return "tsv"
        raise ValueError(f"'{files}' does not end in .tsv, .txt, .jsonl or .ndjson: set format")
