"""What a model is given of a source: ids of a text and its context, or patches of an image."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.decoding import key_of
from zoo.models.tokenizers import Tokenizers
from zoo.spec.model_section import ModelSection
from zoo.tasks.contracts import Example, Input
from zoo.tasks.fitting import fitted
from zoo.tasks.images import ImageSource, PixelImage, Source


def source_of(example: Example) -> Source:
    """What a model reads of an example: its image, or its source, with its context where it has one."""
    if example.image is not None:
        return example.image
    return example.source if example.context is None else (example.source, example.context)


def as_read(model: Any, tokenizers: Tokenizers, examples: Sequence[Example], spec: Any) -> list[Example]:
    """The examples as evaluation gives them to the model of `spec`: context that leaves no place for what it is to
    write gives way."""
    if not model.writes_text or model.reads != "text":
        return list(examples)
    return fitted(tokenizers.source, examples, model.source_limit(spec.decoding.max_new_tokens))


class Reader(ABC):
    """Makes what a model's forward pass takes of sources that are all of its kind."""

    @abstractmethod
    def lengths(self, sources: Sequence[Source]) -> list[int]:
        """Tokens, or patches, of each source: those of like length share a batch."""

    @abstractmethod
    def encoded(self, sources: Sequence[Source], device: torch.device, *, limit: int) -> dict[str, Tensor]:
        """Tensors with the batch first, on the device, padded to the longest source; texts are cut at `limit`."""

    @abstractmethod
    def cut(self, encoded: Mapping[str, Tensor], limit: int) -> int:
        """How many of the encoded sources are cut at `limit`, or as long."""

    def loaded(self, sources: Sequence[Source]) -> Sequence[Source]:
        """The sources, each in memory: what is read from a disk is read here."""
        return sources


class TextReader(Reader):
    """Reads texts, with contexts where they have any."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def lengths(self, sources: Sequence[Source]) -> list[int]:
        if not sources:
            return []
        return [len(ids) for ids in self._tokenizer([text_of(source) for source in sources])["input_ids"]]

    def encoded(self, sources: Sequence[Source], device: torch.device, *, limit: int) -> dict[str, Tensor]:
        return encoded_sources(self._tokenizer, sources, device, limit=limit)

    def cut(self, encoded: Mapping[str, Tensor], limit: int) -> int:
        mask = encoded["attention_mask"]  # [B, S]
        return int((mask.sum(dim=-1) >= limit).sum()) if mask.shape[1] >= limit else 0


class ImageReader(Reader):
    """Reads images through a model's image processor. They have the size that its resize policy gives: none is cut."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def lengths(self, sources: Sequence[Source]) -> list[int]:
        grids = (self._processor.grid(*_image(source).size) for source in sources)
        return [rows * columns for rows, columns in grids]

    def encoded(self, sources: Sequence[Source], device: torch.device, *, limit: int) -> dict[str, Tensor]:
        made = self._processor([_image(source).load() for source in sources], return_tensors="pt")
        return {name: tensor.to(device) for name, tensor in made.items()}

    def cut(self, encoded: Mapping[str, Tensor], limit: int) -> int:
        return 0

    def loaded(self, sources: Sequence[Source]) -> Sequence[Source]:
        return [PixelImage(_image(source).load()) for source in sources]


_READERS: dict[Input, Callable[[Any, Tokenizers], Reader]] = {
    "text": lambda model, tokenizers: TextReader(tokenizers.source),
    "image": lambda model, tokenizers: ImageReader(model.image_processor),
}


def reader_of(model: Any, tokenizers: Tokenizers) -> Reader:
    """What makes the inputs of `model`."""
    return _READERS[model.reads](model, tokenizers)


def refuse_other_input(section: ModelSection, given: Input) -> None:
    """Raise InputError unless `given`, what a task's examples hold, is what the model of `section` reads."""
    if section.reads != given:
        raise InputError(
            f"the task's examples are of the kind '{given}', but the model ({section.architecture}) reads "
            f"'{section.reads}': "
            "take another task, or another model.architecture"
        )


def key_of_source(source: Source) -> int:
    """What is drawn at random for a source depends on this number (`zoo.models.decoding`), and it on the source."""
    if isinstance(source, (str, tuple)):
        return key_of(source if isinstance(source, str) else "\n".join(source))
    pixels = source.load()
    return int.from_bytes(hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()[:8], "little")


def text_of(source: Source) -> str:
    """The source without its context. Raises InputError where it is an image."""
    text = source[0] if isinstance(source, tuple) else source
    if not isinstance(text, str):
        raise InputError("expected a text to read, found an image")
    return text


def _image(source: Source) -> ImageSource:
    if isinstance(source, (str, tuple)):
        raise InputError("expected an image to read, found a text")
    return source


def encoded_sources(
    tokenizer: Any, sources: Sequence[Source], device: torch.device, *, limit: int
) -> dict[str, Tensor]:
    """``input_ids`` and ``attention_mask`` ``[B, S]`` on the device, padded to the longest source, cut at `limit`.

    Where sources come with contexts also ``context_input_ids`` and ``context_attention_mask`` ``[B, C]``.
    """
    read = [("", [text_of(source) for source in sources])]
    if any(isinstance(source, tuple) for source in sources):
        read.append(("context_", [source[1] if isinstance(source, tuple) else "" for source in sources]))
    inputs: dict[str, Tensor] = {}
    for prefix, texts in read:
        encoded = tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        inputs |= {prefix + name: encoded[name].to(device) for name in ("input_ids", "attention_mask")}
    return inputs
