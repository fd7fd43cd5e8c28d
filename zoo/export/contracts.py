"""The contract of exporters: how a trained model becomes another program's. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import InputError, ZooError
from zoo.export.folder import Decision, SequencePart
from zoo.spec.options import Options

KEEP = "keep_float32"
"""The option of an exporter that changes layers: those that it leaves as they are, by their names in torch, or globs of
such names."""


@dataclass(frozen=True)
class Written:
    """What an exporter has put into a folder."""

    sizes: dict[str, int]
    """Bytes of each file."""
    opset: int | None
    """Version of the operators; None where the form has none."""
    versions: dict[str, str]
    """Of the libraries that wrote it."""
    weights: str = "float32"
    """What weights are held as: ``float32``, ``int8``, ..."""
    changed: tuple[str, ...] = ()
    """Layers that are held, or computed, in less than float32: by the names of their modules in torch."""
    kind: str = "onnx"
    """Who runs it: `zoo.export.folder.Export.kind`."""
    device: str = "cpu"
    """What it is to run on: `zoo.export.folder.Export.device`."""


class RefusedError(ZooError):
    """The program that is to run an export does not take it."""

    def __init__(self, message: str, operator: str | None = None) -> None:
        super().__init__(message)
        self.operator = operator
        """What it does not have, where it says so."""
        self.exact = False
        """Whether it was the export with float32 weights that was refused: fewer bits are not to blame."""


Encoded = Sequence[dict[str, Any]]
"""Encoded sources: what a model's forward pass takes of them, batch by batch."""

Trial = Callable[[Sequence[str], Path], Written]
"""Writes a model with these layers, too, left in float32 into an empty folder."""


@dataclass(frozen=True)
class Parity:
    """How an export compares with the model that it was made of, on the same sources."""

    examples: int
    largest_difference: float
    """Of logits, step by step from the cache, along the outputs of the model in torch; of a detector of its scores, and
    of its boxes as shares of the image."""
    same_outputs: int
    """Examples whose greedy outputs are identical; of a detector, where the same boxes are found."""
    mean_difference: float | None = None
    """The mean absolute difference of the same logits; of a detector each box counts by how sure the model is of it."""
    divergence: float | None = None
    """How far probabilities of the next token are from torch's on average: Kullback-Leibler, in nats a token. None
    where a model gives none."""


class Exporter(ABC):
    """An exporter. Built as ``target(options)``."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def refuse(self, model: Any) -> None:
        """Raise InputError, naming the component, where `model` cannot be said in this form. Nothing is written yet."""

    def for_model(self, model: Any, asked: Collection[str] = ()) -> tuple[Exporter, tuple[Decision, ...]]:
        """The exporter as it is for `model`, and what was decided by what the model is. Options that are `asked` for
        stay, by their names: what cannot be is for `refuse`, which is called next."""
        return self, ()

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
    def parity(self, model: Any, folder: Path, batches: Encoded, *, max_new_tokens: int) -> Parity:
        """Compare what was written with the model, on encoded sources: what its forward pass takes of them, such as
        ``input_ids`` and ``attention_mask`` ``[B, S]``, or what its image processor makes of images.

        Raises RefusedError where it cannot be run.
        """

    def exact(self) -> Exporter | None:
        """The exporter that changes no layer: what it writes is compared first, to the last digit. None: this one."""
        return None

    def calibration(self, model: Any) -> int:
        """How many sources `write_reduced` and `trials` are to be shown, for ranges of what the model computes; 0:
        none."""
        return 0

    def write_reduced(
        self, model: Any, exact: Path, folder: Path, tokenizers: Any = None, calibration: Encoded = ()
    ) -> Written:
        """As `write`, where `exact` is what the exporter of that name has written of the same model. It may lie in
        `folder`. `calibration` are the sources that the method of that name asks for."""
        return self.write(model, folder, tokenizers)

    def weaker(self) -> tuple[str, Any] | None:
        """The option, and its value, that asks less of the program that is to run it. None: this asks the least."""
        return None

    def outputs(self, folder: Path, sources: Sequence[Any], *, width: int | None = None) -> list[Any]:
        """What the whole export in `folder` gives for each of the texts or images, as users get it: texts, decoded as
        its spec decodes, or by a search of another `width`, 1 being greedy; or the boxes that it finds.

        Raises InputError where it cannot be decoded so.
        """
        from zoo.export.runtime.answers import open_export

        return list(open_export(folder).answer(list(sources), width=width).outputs)

    @property
    def keeps(self) -> bool:
        """Whether layers can be left in float32."""
        return KEEP in type(self.options).model_fields

    def keeping(self, layers: Sequence[str]) -> Exporter:
        """The exporter that leaves these layers, too, in float32.

        Raises InputError where it has no option for that.
        """
        if not self.keeps:
            raise InputError(f"the exporter has no option '{KEEP}'")
        kept = [*getattr(self.options, KEEP), *layers]
        return type(self)(type(self.options).model_validate({**self.options.plain(), KEEP: kept}))

    @contextmanager
    def trials(self, model: Any, tokenizers: Any = None, calibration: Encoded = ()) -> Iterator[Trial]:
        """Within the block: what writes `model` again and again, each time with other layers left in float32.

        To be overridden where that can begin with what has been written before.
        """
        yield lambda layers, folder: self.keeping(layers).write(model, folder, tokenizers)
