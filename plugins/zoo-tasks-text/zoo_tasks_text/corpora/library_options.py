"""Options of the corpora that come through other libraries: Hugging Face's datasets and sacrebleu's test sets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from zoo.spec.options import Chosen, Options, Slot
from zoo_tasks_text.languages import Language

Name = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,60}$", description="Name of the corpus on boards and in folders")
]


class HuggingFaceOptions(Options):
    """A dataset of Hugging Face's library."""

    name: Name
    languages: tuple[Language, Language] = Field(description="The two language codes", strict=False)
    path: str = Field(
        min_length=1,
        description="A folder (made by save_to_disk, or with parquet, jsonl, csv or arrow files), else OWNER/NAME of a "
        "dataset on the hub; relative folders are taken from the working directory",
    )
    config: str | None = Field(default=None, description="Configuration of a dataset on the hub, such as en-zh")
    revision: str | None = Field(default=None, description="Commit, tag or branch of a dataset on the hub")
    train: str = Field(default="train", description="Name of its training split")
    dev: str | None = Field(
        default=None, description="Name of its dev split; validation, valid or dev if it has one, else split off train"
    )
    test: str | None = Field(
        default=None, description="Name of its test split; test if it has one, else split off train"
    )
    columns: tuple[str, str] | None = Field(
        default=None,
        description="Names of the text columns of the two languages; where absent, the column 'translation', which "
        "maps language codes to texts, else columns named as the languages",
        strict=False,
    )
    translation: str = Field(default="translation", description="Name of the column that maps languages to texts")
    document: str | None = Field(default=None, description="Column of document ids")
    domain: str | None = Field(default=None, description="Column of domains")
    streaming: bool = Field(
        default=False, description="Read a hub's dataset over the network row by row, without a copy of its files"
    )
    dev_fraction: float = Field(default=0.02, gt=0, lt=0.5, description="Share of train split off as dev")
    test_fraction: float = Field(default=0.02, gt=0, lt=0.5, description="Share of train split off as test")
    licence: str | None = Field(
        default=None, max_length=100, description="Licence of the data; what the dataset's card says where absent"
    )

    @model_validator(mode="after")
    def _two_languages(self) -> HuggingFaceOptions:
        if self.languages[0] == self.languages[1]:
            raise ValueError(f"languages are both '{self.languages[0]}'")
        return self


class SacrebleuOptions(Options):
    """One of sacrebleu's test sets, with training data from another corpus."""

    name: Name
    languages: tuple[Language, Language] = Field(description="Source and target of the test set", strict=False)
    test: str = Field(min_length=1, description="sacrebleu's name of the test set, such as wmt20")
    dev: str | None = Field(
        default=None,
        description="sacrebleu's name of the dev set, such as wmt19; the training corpus's own where absent",
    )
    train: Annotated[Chosen, Slot("corpus")] = Field(
        description="Where training pairs come from; those that stand in dev or test are left out"
    )

    @model_validator(mode="after")
    def _sets_differ(self) -> SacrebleuOptions:
        if self.languages[0] == self.languages[1]:
            raise ValueError(f"languages are both '{self.languages[0]}'")
        if self.dev == self.test:
            raise ValueError(f"dev and test are both '{self.test}'")
        return self
