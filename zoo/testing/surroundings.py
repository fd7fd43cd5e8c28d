"""State that belongs to the whole process and that no component may change behind its caller's back."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def _numpy_state() -> list[Any]:
    state: Any = np.random.get_state(legacy=False)
    return [state["state"]["key"].tolist(), state["state"]["pos"], state["has_gauss"], state["gauss"]]


def _surroundings() -> dict[str, Any]:
    return {
        "torch's random state": torch.get_rng_state().tolist(),
        "numpy's random state": _numpy_state(),
        "random's state": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's thread count": torch.get_num_threads(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "the environment": dict(os.environ),
        "the working directory": os.getcwd(),
    }


@contextmanager
def untouched_surroundings() -> Iterator[None]:
    """Fail if the block leaves any of them changed."""
    before = _surroundings()
    yield
    after = _surroundings()
    # pytest keeps the name of the running phase there.
    for state in (before, after):
        state["the environment"].pop("PYTEST_CURRENT_TEST", None)
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"the component changed {', '.join(changed)}"


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute on one thread inside the block.

    Tensors of tests are small; and the order of a sum, which a bitwise comparison sees, must not depend on the machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
