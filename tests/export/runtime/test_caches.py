"""Caches of what has been written, against a list of what each row has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zoo.export.folder import PAST_LENGTHS, TOTAL_LENGTH
from zoo.export.runtime import caches
from zoo.export.runtime.caches import GrownCache, PreallocatedCache

pytest.importorskip("onnxruntime")

NAMES, MADE = ["past.key", "past.value"], ["present.key", "present.value"]
HEADS, WIDTH = 2, 3
LONGEST_FIRST = 7


class Step:
    """A step of a graph that adds one token to each row: stands for the binding of one."""

    def __init__(self, preallocated: bool) -> None:
        self.preallocated = preallocated
        self.arrays: dict[str, NDArray[Any]] = {}
        self.made: list[NDArray[Any]] = []

    def bind_cpu_input(self, name: str, value: NDArray[Any]) -> None:
        self.arrays[name] = value

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.arrays[name] = value.numpy()

    def bind_ortvalue_output(self, name: str, value: Any) -> None:
        self.arrays[name] = value.numpy()

    def bind_output(self, name: str) -> None:
        self.arrays.pop(name, None)

    def get_outputs(self) -> list[Any]:
        return self.made

    def run(self, new: NDArray[Any]) -> None:
        """New tokens ``[R]``: of values they are what they are of keys, and 100 more."""
        if not self.preallocated:
            grown = [self.arrays[name] for name in NAMES]
            self.made = [
                np.concatenate((old, _wide(new + 100 * place)), axis=2) for place, old in enumerate(grown)
            ]  # [R, H, T + 1, Dh]
            return
        (length,) = set(self.arrays[PAST_LENGTHS].tolist())
        assert self.arrays[TOTAL_LENGTH] == length + 1
        for place, (taken, made) in enumerate(zip(NAMES, MADE, strict=True)):
            assert np.shares_memory(self.arrays[taken], self.arrays[made])
            self.arrays[made][:, :, length : length + 1] = _wide(new + 100 * place)


def _wide(numbers: NDArray[Any]) -> NDArray[Any]:
    """``[R]`` -> ``[R, H, 1, Dh]``"""
    found = np.empty((len(numbers), HEADS, 1, WIDTH), np.float32)
    found[:] = numbers[:, None, None, None]
    return found


moves = st.lists(
    st.tuples(st.sampled_from(["step", "step", "step", "reorder", "keep"]), st.integers(0, 2**32 - 1)), max_size=40
)


@pytest.mark.parametrize("kind", [GrownCache, PreallocatedCache])
@settings(deadline=None)
@given(moves=moves, rows=st.integers(1, 6), begins_with=st.integers(1, LONGEST_FIRST), room=st.integers(1, 9))
def test_every_row_has_what_was_written_in_it(
    kind: Any, moves: list[tuple[str, int]], rows: int, begins_with: int, room: int
) -> None:
    written = np.arange(rows * begins_with, dtype=np.float32).reshape(rows, begins_with)  # [R, T]
    first = [np.ascontiguousarray(_filled(written + 100 * place)) for place in range(2)]
    cache, step = kind(NAMES, MADE, first), Step(kind is PreallocatedCache)
    counter, stepped = 1000.0, True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caches, "ROOM", room)
        for move, seed in [*moves, ("step", 0)]:
            draw = np.random.default_rng(seed)
            if move == "step":
                new = counter + np.arange(len(written), dtype=np.float32)
                counter += len(written)
                cache.bind(step)
                step.run(new)
                cache.stepped(step)
                written, stepped = np.concatenate((written, new[:, None]), axis=1), True
            elif move == "keep":
                chosen = draw.integers(0, len(written), draw.integers(1, 7))
                cache.keep(chosen)
                cache.unbound()
                written = written[chosen]
            elif stepped:
                chosen = draw.integers(0, len(written), len(written))
                cache.reorder(chosen)
                written, stepped = written[chosen], False
    length = written.shape[1]
    held = [step.arrays[name] for name in MADE] if kind is PreallocatedCache else step.made
    for place, value in enumerate(held):
        assert np.array_equal(value[:, :, :length], _filled(written + 100 * place))


def _filled(written: NDArray[Any]) -> NDArray[Any]:
    """``[R, T]`` -> ``[R, H, T, Dh]``"""
    return np.broadcast_to(written[:, None, :, None], (len(written), HEADS, written.shape[1], WIDTH)).copy()
