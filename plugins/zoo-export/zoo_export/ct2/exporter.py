"""An encoder-decoder as a folder of CTranslate2's: its specification, its weights, its vocabularies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.errors import ZooError
from zoo.export.contracts import Exporter, Parity, Written
from zoo.export.folder import SequencePart
from zoo.export.plain import PlainModel
from zoo.export.runtime.ct2 import differences, ends_when_full
from zoo.export.runtime.settings import search_of
from zoo.models.modes import evaluating
from zoo_export.ct2.components import components_of
from zoo_export.ct2.parity import compared
from zoo_export.ct2.vocabulary import register_vocabularies
from zoo_export.options import Ctranslate2Options


class Ctranslate2Exporter(Exporter):
    """One file of weights, and what says how they are used, as `ctranslate2.Translator` opens it.

    Schemes that only add vectors to embeddings, or a bias by distance to attention's logits, go out as tables; rotary
    and Shaw's as what they are. DeepNorm is a post-norm of scaled weights. Plain models of transformers are laid out by
    CTranslate2's own converter.
    """

    options: Ctranslate2Options

    def refuse(self, model: Any) -> None:
        _library()
        self._specification(model)

    def adapted(self, sequence: SequencePart) -> tuple[SequencePart, tuple[str, ...]]:
        search = search_of(sequence, "")
        notes = tuple(differences(search))
        options = sequence.decoding.options
        if "early_stopping" in options:
            options = {**options, "early_stopping": ends_when_full(search)}
        decoding = sequence.decoding.model_copy(update={"options": options})
        return sequence.model_copy(update={"decoding": decoding}), notes

    def exact(self) -> Exporter | None:
        return None if self.options.weights == "float32" else Ctranslate2Exporter(Ctranslate2Options())

    def write(self, model: Any, folder: Path, tokenizers: Any = None) -> Written:
        spec = self._specification(model)
        register_vocabularies(spec, model, tokenizers)
        spec.validate()
        weights = self.options.weights
        spec.optimize(quantization=None if weights == "float32" else weights)
        spec.save(str(folder))
        return Written(
            sizes={file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()},
            opset=None,
            versions={name: metadata.version(name) for name in ("torch", "ctranslate2")},
            weights=weights,
            changed=() if weights == "float32" else tuple(_layers(model)),
            kind="ctranslate2",
            device=self.options.device,
        )

    def _specification(self, model: Any) -> Any:
        if not isinstance(model, PlainModel):
            components_of(model)  # before anything of its modules is looked at
        from zoo_export.ct2 import plain, specification

        made = plain.specification_of if isinstance(model, PlainModel) else specification.specification_of
        with evaluating(model), torch.no_grad():
            return made(model)

    def parity(self, model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
        return compared(model, folder, batches, max_new_tokens=max_new_tokens)


def _layers(model: Any) -> Iterator[str]:
    """Those whose matrices have fewer bits, by their names in torch."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            yield name.removeprefix("model.") if isinstance(model, PlainModel) else name


def _library() -> None:
    try:
        import ctranslate2  # noqa: F401
    except ImportError:
        raise ZooError("exporting to CTranslate2 needs it: pip install 'zoo-export[ctranslate2]'") from None
