"""A model as torch runs it in another precision: the folder that transformers and zoo load."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import torch

from zoo.errors import InputError
from zoo.export.contracts import Exporter, Parity, RefusedError, Written
from zoo.export.plain import PlainModel
from zoo.export.torch_outputs import outputs_in_torch
from zoo.measure.oom import is_out_of_memory
from zoo.models import load_model
from zoo.tasks.contracts import silent
from zoo.training import load_run
from zoo.training.quiet import quiet
from zoo_export.options import TorchOptions
from zoo_export.torch_parity import compared

_NO_KERNEL = re.compile(r"[\"']?(\w+)[\"']? not implemented for")
"""How torch names what it cannot compute in a precision."""


class TorchExporter(Exporter):
    """Weights, and everything that is computed, in one precision; files are those of ``zoo train``.

    Where a component computes in float32 of its own accord (angles of positions, normalisations), it still does.
    """

    in_torch: ClassVar[bool] = True
    options: TorchOptions

    def refuse(self, model: Any) -> None:
        if isinstance(model, PlainModel):
            raise InputError(
                "a plain model of transformers is in torch's form already: from_pretrained(FOLDER, dtype=...) loads it "
                "in another precision"
            )
        if model.makes_images:
            raise InputError(
                f"a model of the architecture '{model.section.architecture}' has no export: nothing makes images of one"
            )

    def write(self, model: Any, folder: Path, tokenizers: Any = None) -> Written:
        dtype: torch.dtype = getattr(torch, self.options.weights)
        with quiet():
            copy.deepcopy(model).to(dtype).save_pretrained(folder)
        return Written(
            sizes={file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()},
            opset=None,
            versions={name: metadata.version(name) for name in ("torch", "transformers", "safetensors")},
            weights=self.options.weights,
            changed=() if dtype == torch.float32 else tuple(_layers(model)),
            kind="torch",
        )

    def parity(self, model: Any, folder: Path, batches: Sequence[dict[str, Any]], *, max_new_tokens: int) -> Parity:
        with quiet():
            held = load_model(folder).eval()
        try:
            return compared(model, held, batches, max_new_tokens=max_new_tokens)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            text = " ".join(str(error).split())
            told = f"torch does not run it in {self.options.weights} ({type(error).__name__}: {text[:300]})"
            missing = _NO_KERNEL.search(text)
            raise RefusedError(told, missing[1] if missing else None) from error

    def outputs(self, folder: Path, sources: Sequence[Any], *, width: int | None = None) -> list[Any]:
        run = load_run(folder)
        run.model.eval()
        return outputs_in_torch(run, sources, width, silent)


def _layers(model: Any) -> Iterator[str]:
    """The modules that have weights of their own."""
    for name, module in model.named_modules():
        if name and any(True for _ in module.parameters(recurse=False)):
            yield name
