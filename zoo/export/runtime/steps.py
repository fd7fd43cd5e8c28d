"""A batch being written: keys and values stay with onnxruntime from step to step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zoo.export.folder import CONTEXT_IDS, CONTEXT_MASK, MASK, SIDES, STATES, cache_names
from zoo.export.runtime.sessions import Graphs, run

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


class _Cached:
    """`Steps` from a cache. One call's own: not to be shared between threads.

    What a step takes of the source is `held`, by the names of inputs: bound once. What it takes of what has been
    written, keys and values, is what the step before gave: bound as it came, without a copy; a new order of beams is
    copied into buffers that are kept.
    """

    def __init__(
        self, session: Any, layers: int, logits: NDArray[np.float32], past: list[Any], held: dict[str, NDArray[Any]]
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._of_source = {given.name: held[given.name] for given in session.get_inputs() if given.name in held}
        self._past_names = cache_names("past_key_values", layers, ("decoder",))
        self._present_names = cache_names("present", layers, ("decoder",))
        self._past = past
        self._logits: NDArray[np.float32] = logits[:, -1]  # [B, V]
        self._buffers: list[NDArray[np.float32] | None] = [None] * len(past)
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
            self._buffers[place] = buffer = np.empty(2 * value.size, value.dtype)
        out = buffer[: value.size].reshape(value.shape)
        # "clip" as numpy would write by way of another copy if it had to be able to refuse.
        return np.take(value, rows, axis=0, out=out, mode="clip")


class CachedSteps(_Cached):
    """Steps of a model that reads a source with its encoder."""

    def __init__(self, graphs: Graphs, inputs: Mapping[str, NDArray[Any]], start: int) -> None:
        """Read sources, then take the first step.

        They are ``input_ids`` and ``attention_mask`` ``[B, S]``, and contexts where the model takes any, or images as
        `zoo.images.patches.PatchMaker` makes them.
        """
        if "input_ids" in inputs and CONTEXT_IDS not in inputs:
            none = np.zeros((len(inputs["input_ids"]), 1), np.int64)
            inputs = {**inputs, CONTEXT_IDS: none, CONTEXT_MASK: none}
        of_source = {name: value for name, value in inputs.items() if name not in {"input_ids", "attention_mask"}}
        held = {**of_source, **run(graphs.encoder, inputs)}
        if "attention_mask" in inputs:  # an encoder of images gives one
            held[MASK] = inputs["attention_mask"]
        held[STATES] = held.pop("last_hidden_state")
        first = run(graphs.first, {**held, "input_ids": np.full((len(held[STATES]), 1), start, np.int64)})
        sides = {side: cache_names("present", graphs.layers, (side,)) for side in SIDES}
        past = [first.pop(name) for name in sides["decoder"]]
        names = cache_names("past_key_values", graphs.layers, ("encoder",))
        held |= {name: first.pop(made) for name, made in zip(names, sides["encoder"], strict=True)}
        logits = first.pop("logits")
        super().__init__(graphs.following, graphs.layers, logits, past, {**held, **first})


class PromptSteps(_Cached):
    """Steps of a language model, which goes on where its prompt ends."""

    def __init__(self, graphs: Graphs, input_ids: NDArray[np.int64], mask: NDArray[np.int64]) -> None:
        """Read prompts ``[B, S]``, padded on the left."""
        first = run(graphs.first, {"input_ids": input_ids, "attention_mask": mask})
        past = [first[name] for name in cache_names("present", graphs.layers, SIDES[:1])]
        super().__init__(graphs.following, graphs.layers, first["logits"], past, {"attention_mask": mask})

    def advance(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        mask = self._of_source["attention_mask"]  # [R, P]
        self._of_source["attention_mask"] = longer = np.pad(mask, ((0, 0), (0, 1)), constant_values=1)  # [R, P + 1]
        self._binding.bind_cpu_input("attention_mask", longer)
        return super().advance(tokens)


def _array(value: Any) -> NDArray[np.float32]:
    return value if isinstance(value, np.ndarray) else value.numpy()
