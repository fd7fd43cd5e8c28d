"""A folder with an exported model: its files, and what stands in ``export.json``. Torch-free."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.atomic import write_atomic
from zoo.errors import InputError
from zoo.export.report import ExactParity, ParityReport

EXPORT_FILE = "export.json"
FORMAT = "zoo.export/1"

ENCODER, FIRST_STEP, NEXT_STEP = "encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"
"""The three graphs of a model that reads a source and writes a target, named as `optimum` names them."""

WHOLE = "model.onnx"
"""The one graph of a model that gives all at once, named as `optimum` names it."""

FRAMES = "frames"
"""How many frames each image has, in what a CTC head gives."""

MASK, STATES = "encoder_attention_mask", "encoder_hidden_states"
"""What a decoder's graphs call the mask of what the encoder read, and what it gave."""

CONTEXT_IDS, CONTEXT_MASK = "context_input_ids", "context_attention_mask"
"""The second source of a model that reads context."""

TARGET_TOKENIZER = "target_tokenizer"
"""Where the target's tokenizer stands, if it is another than the source's at the top: as in a model's folder (of which
`zoo.spec` says so, but importing that takes as long as opening a model)."""

SIDES = ("decoder", "encoder")
"""Whose keys and values a cache holds: of the target so far, and of the source."""


def cache_names(prefix: str, layers: int, sides: tuple[str, ...] = SIDES) -> list[str]:
    """``[prefix.0.decoder.key, prefix.0.decoder.value, prefix.0.encoder.key, ..., prefix.1.decoder.key, ...]``."""
    return [f"{prefix}.{layer}.{side}.{what}" for layer in range(layers) for side in sides for what in ("key", "value")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Special(_Part):
    """Token ids that decoding needs."""

    start: int = Field(description="First token of every target; no text")
    end: int = Field(description="Ends a target")
    padding: int
    forced_bos: int | None = Field(default=None, description="Token that every output begins with")
    forced_eos: int | None = Field(default=None, description="Token that an output of the greatest length ends with")
    banned: list[list[int]] = Field(default_factory=list, description="Sequences of tokens that are never written")


class Decoding(_Part):
    """How the model's spec decodes; `strategy` by name, its options, and the longest output."""

    strategy: str
    options: dict[str, Any] = Field(default_factory=dict)
    max_new_tokens: int
    batch_size: int


class Cache(_Part):
    """The keys and values that a decoder keeps from step to step."""

    layers: int = Field(description="Layers of the decoder: each has a cache of its own")
    heads: int
    head_width: int


class SequencePart(_Part):
    """How a model that writes texts does it."""

    cache: Cache | None = Field(description="None: all of an output is written at once (CTC)")
    vocabulary: int
    special: Special
    max_source_tokens: int | None = Field(
        description="Longest source that the model can place; None: any, as of images, which have the size that they "
        "are resized to"
    )
    max_target_tokens: int | None = Field(description="Longest target that the model can place; None: any")
    shared_positions: int | None = Field(
        default=None, description="Of a language model: positions that source and target share, in the place of both"
    )
    decoding: Decoding
    log_probabilities: bool = Field(
        default=False, description="Whether the graphs' logits are log-probabilities to be taken as they are"
    )

    def source_limit(self, new_tokens: int | None = None) -> int | None:
        """The longest source, in tokens, behind which `new_tokens` can be written: as `decoding` has it where None."""
        if self.shared_positions is None:
            return self.max_source_tokens
        # A target that might take all leaves the source one half.
        new = new_tokens or self.decoding.max_new_tokens
        return self.shared_positions - min(new, self.shared_positions // 2)

    def target_limit(self, new_tokens: int | None = None) -> int | None:
        """How many of `new_tokens` can be written behind a source of `source_limit(new_tokens)`; None: all."""
        return self.max_target_tokens if self.shared_positions is None else self.source_limit(new_tokens)


class ImagePart(_Part):
    """How images are prepared for a model that reads them."""

    section: dict[str, Any] = Field(
        description="Of a recogniser what `zoo.spec.image_section.ImagePreparation` is, as plain data"
    )
    grid_limit: tuple[int, int] | None = Field(
        default=None, description="Most rows and columns of patches that the model has places for; None: any"
    )
    plugins: dict[str, str] = Field(
        default_factory=dict, description="Distributions that its components come from, with their versions"
    )


class Export(_Part):
    """What ``export.json`` says."""

    format: Literal["zoo.export/1"] = "zoo.export/1"
    kind: Literal["onnx"] = "onnx"
    name: str
    architecture: str
    reads: Literal["text", "image"]
    sequence: SequencePart | None = Field(default=None, description="How texts are written; None: it writes none")
    image: ImagePart | None = Field(default=None, description="How images are prepared; None: it reads none")
    opset: int
    weights: str = Field(default="float32", description="What weights are held as")
    sizes: dict[str, int] = Field(description="Bytes of each file")
    made_with: dict[str, str] = Field(description="Versions of what wrote it")
    parity: ParityReport | None = Field(default=None, description="How far it is from the model in torch")
    exact_parity: ExactParity | None = Field(
        default=None, description="How far it was before its weights were made smaller; None: they were not"
    )


def write_export(export: Export, folder: Path) -> None:
    """Write ``export.json``: last, as a folder is an export once it is there."""
    write_atomic(folder / EXPORT_FILE, json.dumps(export.model_dump(), indent=1) + "\n")


def read_export(folder: Path) -> Export:
    """What the export in `folder` says of itself. Raises InputError where there is none, or it is damaged."""
    path = folder / EXPORT_FILE
    if not path.is_file():
        raise InputError(f"no {EXPORT_FILE} here: not a folder of 'zoo export'", where=str(folder))
    try:
        found = Export.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{place or 'the file'}: {first['msg']}", where=str(path)) from None
    missing = [name for name in found.sizes if not (folder / name).is_file()]
    if missing:
        raise InputError(f"no {missing[0]} here, which {EXPORT_FILE} names", where=str(folder))
    return found
