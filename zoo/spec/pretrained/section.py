"""What a resolved spec keeps of the pretrained model that it begins with."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from zoo.spec.options import Options

Token = Annotated[int, Field(ge=0)]


class PretrainedSection(Options):
    """Written by resolving ``model.from``: with it the section says all that the checkpoint's config.json says."""

    later: ClassVar[frozenset[str]] = frozenset({"target_tokenizer"})

    path: str = Field(min_length=1, description="Folder of the checkpoint, or its name on the Hugging Face hub")
    type: str = Field(description="The checkpoint's model_type, such as marian; zoo for a model of zoo")
    revision: str = Field(
        pattern=r"^sha256:[0-9a-f]{64}$", description="Content hash of the checkpoint's configuration and weights"
    )
    vocab_size: int = Field(ge=1, description="Rows of the source's embeddings, and of the target's where shared")
    decoder_vocab_size: int | None = Field(
        default=None, ge=1, description="Rows of the target's embeddings, where the two sides have separate ones"
    )
    target_tokenizer: bool = Field(
        default=False, description="Whether the target has a tokenizer of its own, as in a model of zoo it may"
    )
    pad: Token = Field(description="Id of the padding token")
    eos: Token = Field(description="Id of the end token")
    bos: Token | None = Field(default=None, description="Id of the token that texts begin with, where there is one")
    decoder_start: Token = Field(description="Id that the decoder starts with")
    forced_bos: Token | None = Field(default=None, description="Token that every output begins with")
    forced_eos: Token | None = Field(default=None, description="Token that an output of the greatest length ends with")
    banned: list[list[Token]] = Field(default=[], description="Sequences of tokens that are never generated")
