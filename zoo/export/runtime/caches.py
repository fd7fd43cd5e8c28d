"""The keys and values of what a batch has written so far, as the graph of a step takes and gives them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zoo.export.folder import PAST_LENGTHS, TOTAL_LENGTH

ROOM = 32
"""Tokens that buffers have room for at first."""
_SPANS = (4, 16)
"""Rows that are copied by so many tokens are copied together."""


class Cache(Protocol):
    """Of R rows. One call's own."""

    def bind(self, binding: Any) -> None:
        """Have the next run of a step take what is there and give what it makes of it."""

    def stepped(self, binding: Any) -> None:
        """The run has been."""

    def unbound(self) -> None:
        """Nothing is bound any more."""

    def keep(self, rows: NDArray[np.int64]) -> None:
        """From now on row r is what row ``rows[r]`` was, as many as there are."""

    def reorder(self, rows: NDArray[np.int64]) -> None:
        """As `keep`, where the number stays. At most once between two steps."""


class GrownCache:
    """Tensors ``[R, H, T, Dh]`` that are one token longer after each step: bound as they came, without a copy; a new
    order of rows is copied into buffers that are kept."""

    def __init__(self, names: Sequence[str], made: Sequence[str], past: Sequence[NDArray[Any]]) -> None:
        """`past` by the `names` of inputs, `made` those of the outputs in the same order: the graph's last ones."""
        self._names, self._made = names, made
        self._past: list[Any] = list(past)
        self._buffers: list[NDArray[Any] | None] = [None] * len(past)

    def bind(self, binding: Any) -> None:
        for name, value in zip(self._names, self._past, strict=True):
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, value)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in self._made:
            binding.bind_output(name)  # anew: it has another shape than the last one's

    def stepped(self, binding: Any) -> None:
        self._past = binding.get_outputs()[-len(self._made) :]

    def unbound(self) -> None:
        pass  # all is bound at each step

    def keep(self, rows: NDArray[np.int64]) -> None:
        self._past = [np.take(_array(value), rows, axis=0) for value in self._past]
        self._buffers = [None] * len(self._past)

    def reorder(self, rows: NDArray[np.int64]) -> None:
        changed = np.flatnonzero(rows != np.arange(len(rows)))
        if changed.size:
            self._past = [self._taken(place, _array(value), rows, changed) for place, value in enumerate(self._past)]

    def _taken(
        self, place: int, value: NDArray[Any], rows: NDArray[np.int64], changed: NDArray[np.int64]
    ) -> NDArray[Any]:
        """The rows of one tensor ``[R, H, T, Dh]``: where it lies while few have `changed`, else in its buffer, which
        grows by doubling.

        The buffer may hold what the step before last gave, never `value`, which onnxruntime has just made.
        """
        if value.flags.writeable and 2 * changed.size <= len(rows):
            value[changed] = np.take(value, rows[changed], axis=0)
            return value
        buffer = self._buffers[place]
        if buffer is None or buffer.size < value.size:
            self._buffers[place] = buffer = np.empty(2 * value.size, value.dtype)
        out = buffer[: value.size].reshape(value.shape)
        # "clip" as numpy would write by way of another copy if it had to be able to refuse.
        return np.take(value, rows, axis=0, out=out, mode="clip")


class PreallocatedCache:
    """Buffers ``[R, H, room, Dh]`` that a step writes into: bound once, until they are full, and then of double size.

    Of a graph with `zoo.export.folder.PREALLOCATED`. Hypotheses of one source have most of what they begin with in
    common: where one takes the place of another, only what is behind that is copied.
    """

    def __init__(self, names: Sequence[str], made: Sequence[str], past: Sequence[NDArray[Any]]) -> None:
        """As of `GrownCache`."""
        self._names, self._made = names, made
        self._length = past[0].shape[2]
        self._buffers: list[NDArray[Any]] = list(past)  # full: the first `bind` makes room
        self._shared: NDArray[np.int32] | None = None
        """Tokens ``[R, R]`` that two rows at least have in common, from the first on; None: nothing is known."""
        self._bound = False

    def bind(self, binding: Any) -> None:
        from onnxruntime import OrtValue

        if self._length == self._buffers[0].shape[2]:
            self._grow(max(ROOM, 2 * self._length))
        if not self._bound:
            rows = len(self._buffers[0])
            self._lengths = np.empty(rows, np.int32)
            self._total = np.empty((), np.int32)
            binding.bind_cpu_input(PAST_LENGTHS, self._lengths)
            binding.bind_cpu_input(TOTAL_LENGTH, self._total)
            for name, output, buffer in zip(self._names, self._made, self._buffers, strict=True):
                value = OrtValue.ortvalue_from_numpy(buffer)
                binding.bind_ortvalue_input(name, value)
                binding.bind_ortvalue_output(output, value)
            self._bound = True
        self._lengths[:] = self._length
        self._total[...] = self._length + 1

    def stepped(self, binding: Any) -> None:
        self._length += 1

    def unbound(self) -> None:
        self._bound = False

    def keep(self, rows: NDArray[np.int64]) -> None:
        room = self._buffers[0].shape[2]
        self._buffers = [self._moved(buffer[rows, :, : self._length], room) for buffer in self._buffers]
        if self._shared is not None:
            self._shared = self._shared[np.ix_(rows, rows)]
        self._bound = False

    def reorder(self, rows: NDArray[np.int64]) -> None:
        changed = np.flatnonzero(rows != np.arange(len(rows)))
        if not changed.size:
            return
        if self._shared is None:
            self._shared = np.zeros((len(rows), len(rows)), np.int32)
        taken = rows[changed]
        spans = self._length - self._shared[changed, taken]
        # By how much is new, so that few copy much; all are read before any is written.
        parts = [
            (changed[chosen], taken[chosen], slice(self._length - most, self._length))
            for least, most in pairwise([-1, *(size for size in _SPANS if size < self._length), self._length])
            if (chosen := np.flatnonzero((spans > least) & (spans <= most))).size
        ]
        for buffer in self._buffers:
            found = [buffer[sources, :, places] for _, sources, places in parts]
            for (targets, _, places), values in zip(parts, found, strict=True):
                buffer[targets, :, places] = values
        self._shared = self._shared[np.ix_(rows, rows)]
        self._shared[rows[:, None] == rows] = self._length

    def _grow(self, room: int) -> None:
        self._buffers = [self._moved(buffer, room) for buffer in self._buffers]
        self._bound = False

    def _moved(self, value: NDArray[Any], room: int) -> NDArray[Any]:
        """``[R, H, T, Dh]`` at the beginning of a buffer."""
        if value.shape[2] == room:
            return np.ascontiguousarray(value)
        rows, heads, length, width = value.shape
        buffer = np.zeros((rows, heads, room, width), value.dtype)
        buffer[:, :, :length] = value
        return buffer


def _array(value: Any) -> NDArray[Any]:
    found: NDArray[Any] = value if isinstance(value, np.ndarray) else value.numpy()
    return found
