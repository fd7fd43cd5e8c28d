"""A folder with an exported model: its files, and what stands in ``export.json``. Torch-free."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoo.atomic import write_atomic
from zoo.errors import InputError
from zoo.export.report import ExactParity, ParityReport

EXPORT_FILE = "export.json"
_RUNTIMES = {"onnx": ("onnxruntime", "onnxruntime-gpu"), "ctranslate2": ("ctranslate2",), "torch": ("torch",)}
"""The distributions that run a kind of export, of which one is installed."""
FORMAT = "zoo.export/1"

ENCODER, FIRST_STEP, NEXT_STEP = "encoder_model.onnx", "decoder_model.onnx", "decoder_with_past_model.onnx"
"""The three graphs of a model that reads a source and writes a target, named as `optimum` names them."""

LEAN_STEP = "decoder_lean_step_model.onnx"
"""What a processor runs in the place of `NEXT_STEP`, where the folder has it: its metadata say in what it differs."""

PREALLOCATED = "zoo.preallocated_cache"
"""The decoder's caches are buffers ``[R, H, room, Dh]``, which a step writes into, instead of growing tensors. Two more
inputs say how many tokens are there: `PAST_LENGTHS` ``[R]``, int32, before the new one; `TOTAL_LENGTH` ``[]``, int32,
with it. Outputs are to be bound to the buffers of the inputs."""
PAST_LENGTHS, TOTAL_LENGTH = "seqlens_k", "total_sequence_length"
"""Named as the operator that reads them names them."""

SHARED_MEMORY = "zoo.shared_memory"
"""What comes of sources has B rows where the tokens have R = B x K, the K hypotheses of one source side by side."""

REORDER, KEEP = "reorder_model.onnx", "keep_model.onnx"
"""Of an export for GPUs: graphs that take rows of what a step takes: of keys and values of the target, and of all that
is held from step to step. Each has the inputs of the step's graph by their names, and which rows as `ROWS`."""
ROWS = "rows"

WHOLE = "model.onnx"
"""The one graph of a model that gives all at once, named as `optimum` names it."""

FRAMES = "frames"
"""How many frames each image has, in what a CTC head gives."""

MASK, STATES = "encoder_attention_mask", "encoder_hidden_states"
"""What a decoder's graphs call the mask of what the encoder read, and what it gave."""

SCORES, BOXES, REAL = "scores", "boxes", "real"
"""What a detector's graph gives: of Q boxes the probability of each class ``[B, Q, C]``, ``cx, cy, w, h`` as shares of
the image ``[B, Q, 4]``, and which are of the image ``[B, Q]``."""

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


class ContextPart(_Part):
    """What a model reads of a document beside the sentence that it translates."""

    sentences: int = Field(description="Sentences right before it, at most")
    second_input: bool = Field(description="Whether they are a source of their own; else they stand in front of it")


class LanguageText(_Part):
    """What stands in front of a source, of a model that is told languages by text."""

    source: str | None = Field(description="Language of the source; None: any")
    target: str
    text: str


class LanguagesPart(_Part):
    """The languages among which one model translates, by the names that its tokenizer, or its configuration, has."""

    source: str | None = Field(default=None, description="That of sources, where nobody says; None: not known")
    target: str | None = Field(default=None, description="That of outputs, where nobody says; None: not known")
    tokens: dict[str, int] = Field(
        default_factory=dict, description="The token of each language; none of a model that is told by text"
    )
    before: list[int | None] = Field(
        default_factory=list, description="Tokens that a source begins with; None: that of its language"
    )
    behind: list[int | None] = Field(
        default_factory=list, description="Tokens that a source ends with; None: that of its language"
    )
    starts: bool = Field(
        default=False, description="Whether the token of the target's language is the first that a decoder reads"
    )
    forces: bool = Field(default=False, description="Whether every output begins with that token")
    texts: list[LanguageText] = Field(default_factory=list, description="Of a model that is told languages by text")


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
    context: ContextPart | None = Field(default=None, description="What is read beside a sentence; None: nothing")
    languages: LanguagesPart | None = Field(default=None, description="Those that can be chosen; None: one pair")
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
        description="Of a recogniser what `zoo.spec.image_section.ImagePreparation` is, of a detector what "
        "`zoo.spec.pixel_section.PixelSection` is, as plain data"
    )
    grid_limit: tuple[int, int] | None = Field(
        default=None, description="Most rows and columns of patches that the model has places for; None: any"
    )
    plugins: dict[str, str] = Field(
        default_factory=dict, description="Distributions that its components come from, with their versions"
    )


class Category(_Part):
    """What a detector looks for."""

    number: int = Field(description="The number that the data have for it")
    name: str


class BoxPart(_Part):
    """How boxes are found by a model that finds some."""

    categories: list[Category] = Field(description="That of each class of the graph's scores")
    multiple: int = Field(description="Both sides of a batch are padded to whole multiples of so many pixels")
    several: bool = Field(description="Whether a box may be found as each of several classes, or as its likeliest one")
    candidates: int | None = Field(
        description="Surest pairs of a box and a class that are looked at; None: as many as the image has boxes"
    )
    nms_iou: float | None = Field(
        description="A box that overlaps a surer one of its class by more is taken away; None: none is"
    )
    min_score: float = Field(description="Boxes below this confidence are left out, where nothing else is asked for")
    max_detections: int = Field(description="Boxes of an image that are kept at most, where nothing else is asked for")
    batch_size: int


class Decision(_Part):
    """Why an export is as it is, in one thing."""

    what: str
    value: Any
    reason: str
    source: str = Field(description="A document, or what was tried")


class Export(_Part):
    """What ``export.json`` says."""

    format: Literal["zoo.export/1"] = "zoo.export/1"
    kind: Literal["onnx", "ctranslate2", "torch"] = Field(
        default="onnx", description="Whose form it has, and who runs it"
    )
    name: str
    architecture: str
    reads: Literal["text", "image"]
    sequence: SequencePart | None = Field(default=None, description="How texts are written; None: it writes none")
    image: ImagePart | None = Field(default=None, description="How images are prepared; None: it reads none")
    boxes: BoxPart | None = Field(default=None, description="How boxes are found; None: it finds none")
    opset: int | None = Field(default=None, description="Version of the operators, of ONNX")
    weights: str = Field(default="float32", description="What weights are held as")
    threads: int | None = Field(default=None, description="Of each call; None: one a core of the process")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="What it was made to run on")
    decisions: list[Decision] = Field(default_factory=list, description="What was chosen, and why")
    sizes: dict[str, int] = Field(description="Bytes of each file")
    made_with: dict[str, str] = Field(description="Versions of what wrote it")
    notes: list[str] = Field(default_factory=list, description="Where it does not do quite what the model's spec says")
    parity: ParityReport | None = Field(default=None, description="How far it is from the model in torch")
    exact_parity: ExactParity | None = Field(
        default=None, description="How far it was before its weights were made smaller; None: they were not"
    )


def read_without_torch(folder: Path) -> Export:
    """As `read_export`; raises InputError, too, where it is torch that runs the export."""
    found = read_export(folder)
    if found.kind == "torch":
        raise InputError(
            "an export that torch runs: load it as a model ('zoo translate' and its like do)", where=str(folder)
        )
    return found


def is_in_torch(folder: Path) -> bool:
    """Whether the export in `folder` is a model's folder, which torch runs. Raises InputError as `read_export`."""
    return read_export(folder).kind == "torch"


def runtime_versions(export: Export) -> dict[str, str]:
    """Name -> version of what runs the export here."""
    found = {}
    for name in _RUNTIMES[export.kind]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


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
