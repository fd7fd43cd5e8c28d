"""What a pass does to memory and which attention kernels it calls, read off the operations that torch dispatches."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_KERNELS = {
    "_scaled_dot_product_flash_attention_for_cpu": "sdpa flash",
    "_scaled_dot_product_flash_attention": "sdpa flash",
    "_scaled_dot_product_efficient_attention": "sdpa efficient",
    "_scaled_dot_product_cudnn_attention": "sdpa cudnn",
    "_scaled_dot_product_attention_math_for_mps": "sdpa math",
    "flex_attention": "flex",
}
_EXPONENTIALS = frozenset({"_softmax", "_safe_softmax", "exp"})
FUSED = frozenset({"sdpa flash", "sdpa efficient", "sdpa cudnn", "flex"})
"""Kernels that write no attention weights out."""
WRITTEN_OUT = "written out"
"""Attention as two products with a softmax between them, whoever asked for it."""


class TensorTrace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches the operations of a block: ``with TensorTrace((queries, keys), ...) as trace: ...``.

    Attention scores ``[..., queries, keys]`` are known by their `shapes`: no length may be a width of the model too.
    `peak` counts what lives in tensors, not what a kernel holds inside itself. A compiled FlexAttention is one
    operation: what it does inside is not seen.
    """

    def __init__(self, *shapes: tuple[int, int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._shapes = shapes
        self._alive: dict[int, int] = {}
        self._counted: set[int] = set()
        self.kernels: Counter[str] = Counter()
        """How often each attention kernel was called forward."""
        self.written: Counter[str] = Counter()
        """Operations that made a floating-point tensor ``[B or 1, H, queries, keys]`` with more than one head."""
        self.live = 0
        """Bytes of tensors made in the block that are still alive."""
        self.peak = 0
        """The most that were alive at once."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_key(item) for item in tree_leaves((args, kwargs)) if isinstance(item, Tensor)}
        result = function(*args, **(kwargs or {}))
        name = function.__name__.split(".")[0] if hasattr(function, "__name__") else str(function)
        if name in _KERNELS:
            self.kernels[_KERNELS[name]] += 1
        for item in tree_leaves(result):
            if isinstance(item, Tensor):
                self._made(name, item, given)
        return result

    def _made(self, name: str, item: Tensor, given: set[int]) -> None:
        if item.device.type == "meta":
            return
        storage = item.untyped_storage()
        key = storage._cdata
        made = key not in given  # else a view, or what was changed in place
        if made and key not in self._alive:
            size = storage.nbytes()
            self._alive[key] = size
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._freed, key)
        if not self._scores(item):
            return
        if made and name in _EXPONENTIALS:
            self.kernels[WRITTEN_OUT] += 1
        # Scores may be made in another shape; of a view that repeats what it has they are not made at all.
        whole = key in self._alive and item.numel() * item.itemsize <= storage.nbytes()
        if made or (whole and key not in self._counted):
            self._counted.add(key)
            self.written[name] += 1

    def _scores(self, item: Tensor) -> bool:
        wide = item.ndim >= 3 and tuple(item.shape[-2:]) in self._shapes and item.is_floating_point()
        return wide and item.shape[-3] > 1

    def _freed(self, key: int) -> None:
        self.live -= self._alive.pop(key, 0)
        self._counted.discard(key)


def _key(item: Tensor) -> int:
    return int(item.untyped_storage()._cdata) if item.layout == torch.strided else id(item)
