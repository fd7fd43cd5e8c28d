"""The tensors of a checkpoint's safetensors files, read one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.errors import InputError


@dataclass(frozen=True)
class Weights:
    """Tensors by name. Nothing is in memory but the files' headers."""

    files: Mapping[str, Any]
    """Name -> the open file it stands in."""
    where: str

    @property
    def names(self) -> list[str]:
        """All of them, sorted."""
        return sorted(self.files)

    def read(self, name: str) -> Tensor:
        """One tensor, in float32 or of whole numbers. Raises InputError where there is none of this name."""
        if name not in self.files:
            raise InputError(f"the checkpoint lacks the weights '{name}'", where=self.where)
        tensor: Tensor = self.files[name].get_tensor(name)
        return tensor.float() if tensor.is_floating_point() else tensor


def open_weights(paths: list[Path], where: str, stack: ExitStack) -> Weights:
    """Open the files until `stack` closes. Raises InputError for one that is damaged, and for a name in two files."""
    files: dict[str, Any] = {}
    for path in paths:
        try:
            opened = stack.enter_context(safe_open(str(path), framework="pt", device="cpu"))
        except (SafetensorError, OSError) as error:
            text = " ".join(str(error).split())[:120]
            raise InputError(f"{path.name} cannot be read ({text})", where=where) from error
        for name in opened.keys():  # noqa: SIM118 - not a mapping
            if name in files:
                raise InputError(f"'{name}' stands in two files", where=where)
            files[name] = opened
    return Weights(files, where)
