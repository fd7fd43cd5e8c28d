"""How much memory an optimizer's state takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor


def optimizer_state_bytes(optimizer: Any) -> int:
    """Bytes of every tensor in the optimizer's state: moments, factors, step counters.

    What several entries share counts once, a view as the memory it keeps alive, a quantised tensor by what it stores:
    its codes and scales. Parameters and gradients are not state. 0 before the first step for an optimizer that makes
    its state then.
    """
    storages = {}
    for tensor in _tensors(optimizer.state):
        storage = tensor.untyped_storage()
        storages[tensor.device, storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def _tensors(value: Any) -> Iterator[Tensor]:
    """Plain tensors inside nested mappings, sequences and tensor subclasses; keys, which are parameters, left out."""
    if isinstance(value, Tensor):
        # How subclasses (quantised, distributed) tell what they store: torch.utils._python_dispatch.
        parts = getattr(value, "__tensor_flatten__", None)
        if parts is None:
            yield value
        else:
            for name in parts()[0]:
                yield from _tensors(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _tensors(item)
