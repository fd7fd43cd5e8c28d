"""A batch being written: keys and values stay with onnxruntime from step to step."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zoo.export.folder import SIDES, cache_names
from zoo.export.runtime.sessions import MASK, STATES, Graphs

DROP_SHARE = 1 / 8
"""Share of a batch's rows that must have ended before they are taken out of it. Taking one out copies the keys and
values of all others, which costs each of them about a third of a step."""


class Steps(Protocol):
    """What a search needs of a model: rows that each hold a source and what has been written for it."""

    def logits(self) -> NDArray[np.float32]:
        """Scores ``[R, V]`` of the next token: of the first one before any `advance`. The caller may write into it."""

    def advance(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Write one token in each row, ``[R]``; scores ``[R, V]`` of the next."""

    def keep(self, rows: NDArray[np.int64]) -> None:
        """From now on row r is what row ``rows[r]`` was. A row may be taken more than once, or not at all."""

    def reorder(self, rows: NDArray[np.int64]) -> None:
        """As `keep`, where the number stays, and row r and row ``rows[r]`` have the same source. At most once
        between two steps."""


def worth_dropping(ended: NDArray[np.bool_]) -> bool:
    """Whether so many rows ``[R]`` have ended that the rest is faster without them."""
    return bool(ended.sum() >= DROP_SHARE * ended.size)


class CachedSteps:
    """`Steps` over the graphs of an export. One call's own: not to be shared between threads.

    What the following step takes of the source, keys and values and mask, is bound once. What it takes of the target is
    what the step before gave: bound as it came, without a copy; a new order of beams is copied into buffers
    that are kept.
    """

    def __init__(self, graphs: Graphs, input_ids: NDArray[np.int64], mask: NDArray[np.int64], start: int) -> None:
        """Read sources ``[B, S]`` and take the first step."""
        states = graphs.encoder.run(["last_hidden_state"], {"input_ids": input_ids, "attention_mask": mask})[0]
        sides = {side: cache_names("present", graphs.layers, (side,)) for side in SIDES}
        feeds = {"input_ids": np.full((len(mask), 1), start, np.int64), STATES: states, MASK: mask}
        feeds = {name: feeds[name] for name in (given.name for given in graphs.first.get_inputs())}
        logits, *cache = graphs.first.run(["logits", *sides["decoder"], *sides["encoder"]], feeds)
        count = len(sides["decoder"])
        self._session = graphs.following
        self._binding = graphs.following.io_binding()
        taken = {given.name for given in graphs.following.get_inputs()}
        of_source = dict(zip(cache_names("past_key_values", graphs.layers, ("encoder",)), cache[count:], strict=True))
        self._of_source = {name: value for name, value in {**of_source, MASK: mask}.items() if name in taken}
        self._past_names = cache_names("past_key_values", graphs.layers, ("decoder",))
        self._present_names = sides["decoder"]
        self._past: list[Any] = cache[:count]
        self._logits: NDArray[np.float32] = logits[:, -1]  # [B, V]
        self._buffers: list[NDArray[np.float32] | None] = [None] * count
        self._bound = False

    def logits(self) -> NDArray[np.float32]:
        return self._logits

    def advance(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        if not self._bound:
            self._bind()
        self._tokens[:, 0] = tokens
        binding = self._binding
        for name, value in zip(self._past_names, self._past, strict=True):
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, value)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in self._present_names:
            binding.bind_output(name)  # anew: it has another shape than the last one's
        self._session.run_with_iobinding(binding)
        self._past = binding.get_outputs()[1:]
        return self._logits

    def keep(self, rows: NDArray[np.int64]) -> None:
        self._past = [np.take(_array(value), rows, axis=0) for value in self._past]
        self._of_source = {name: np.take(value, rows, axis=0) for name, value in self._of_source.items()}
        self._buffers = [None] * len(self._past)
        self._bound = False

    def reorder(self, rows: NDArray[np.int64]) -> None:
        changed = np.flatnonzero(rows != np.arange(len(rows)))
        if changed.size:
            self._past = [self._taken(place, _array(value), rows, changed) for place, value in enumerate(self._past)]

    def _bind(self) -> None:
        """What stays as it is while the rows do. Scores are written where the search reads them."""
        from onnxruntime import OrtValue

        binding = self._binding
        rows = len(_array(self._past[0]))
        self._tokens = np.empty((rows, 1), np.int64)
        self._logits = np.empty((rows, self._logits.shape[-1]), np.float32)  # [R, V]
        binding.bind_cpu_input("input_ids", self._tokens)
        for name, value in self._of_source.items():
            binding.bind_cpu_input(name, value)
        binding.clear_binding_outputs()
        binding.bind_ortvalue_output("logits", OrtValue.ortvalue_from_numpy(self._logits[:, None]))  # [R, 1, V]
        self._bound = True

    def _taken(
        self, place: int, value: NDArray[np.float32], rows: NDArray[np.int64], changed: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The rows of one cache ``[R, H, T, Dh]``: where it lies while few have `changed`, else in the cache's buffer,
        which grows by doubling.

        The buffer may hold what the step before last gave, never `value`, which onnxruntime has just made.
        """
        if value.flags.writeable and 2 * changed.size <= len(rows):
            value[changed] = np.take(value, rows[changed], axis=0)
            return value
        buffer = self._buffers[place]
        if buffer is None or buffer.size < value.size:
            self._buffers[place] = buffer = np.empty(2 * value.size, np.float32)
        out = buffer[: value.size].reshape(value.shape)
        # "clip" as numpy would write by way of another copy if it had to be able to refuse.
        return np.take(value, rows, axis=0, out=out, mode="clip")


def _array(value: Any) -> NDArray[np.float32]:
    return value if isinstance(value, np.ndarray) else value.numpy()
