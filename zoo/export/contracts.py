"""The contract of exporters: how a trained model becomes another program's. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.export.folder import SequencePart
from zoo.spec.options import Options


@dataclass(frozen=True)
class Written:
    """What an exporter has put into a folder."""

    sizes: dict[str, int]
    """Bytes of each file."""
    opset: int | None
    """Version of the operators; None where the form has none."""
    versions: dict[str, str]
    """Of the libraries that wrote it."""
    kind: str = "onnx"
    """Who runs it: `zoo.export.folder.Export.kind`."""


@dataclass(frozen=True)
class Parity:
    """How an export compares with the model that it was made of, on the same sources."""

    examples: int
    largest_difference: float
    """Of logits, step by step from the cache, along the outputs of the model in torch."""
    same_outputs: int
    """Examples whose greedy outputs are identical."""


class Exporter(ABC):
    """An exporter. Built as ``target(options)``."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def refuse(self, model: Any) -> None:
        """Raise InputError, naming the component, where `model` cannot be said in this form. Nothing is written yet."""

    def adapted(self, sequence: SequencePart) -> tuple[SequencePart, tuple[str, ...]]:
        """How what is exported writes texts, of how the model's spec has it, and a line for each difference.

        Raises InputError where it cannot, naming what of the spec.
        """
        return sequence, ()

    @abstractmethod
    def write(self, model: Any, folder: Path, tokenizers: Any = None) -> Written:
        """Write `model`, in evaluation mode on the CPU, into the empty `folder`: its graphs, or its weights.

        `tokenizers` are those of source and target (`zoo.models.tokenizers.Tokenizers`), for a form that knows tokens
        by their texts; without them it calls them by their numbers.
        """

    @abstractmethod
    def parity(self, model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
        """Compare what was written with the model, on encoded sources: what its forward pass takes of them, such as
        ``input_ids`` and ``attention_mask`` ``[B, S]``, or what its image processor makes of images."""
