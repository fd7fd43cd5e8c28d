"""A batch being written: keys and values stay with onnxruntime from step to step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zoo.export.folder import (
    CONTEXT_IDS,
    CONTEXT_MASK,
    MASK,
    PREALLOCATED,
    SHARED_MEMORY,
    SIDES,
    STATES,
    cache_names,
)
from zoo.export.runtime.caches import Cache, GrownCache, PreallocatedCache
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


def with_context(inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """What an encoder takes of texts, with contexts of nothing where there are none; of images as it is."""
    if "input_ids" not in inputs or CONTEXT_IDS in inputs:
        return inputs
    none = np.zeros((len(inputs["input_ids"]), 1), np.int64)
    return {**inputs, CONTEXT_IDS: none, CONTEXT_MASK: none}


class _Cached:
    """`Steps` from a cache. One call's own: not to be shared between threads.

    What a step takes of the source is `held`, by the names of inputs: bound once. Where the graph has the hypotheses
    of a source share it, it stays as it is while a row becomes several.
    """

    def __init__(
        self,
        graphs: Graphs,
        logits: NDArray[np.float32],
        past: Sequence[NDArray[Any]],
        held: Mapping[str, NDArray[Any]],
    ) -> None:
        session = graphs.following
        said = session.get_modelmeta().custom_metadata_map
        self._session = session
        self._binding = session.io_binding()
        self._of_source = {given.name: held[given.name] for given in session.get_inputs() if given.name in held}
        self._shares = SHARED_MEMORY in said
        self._sources = np.arange(len(logits))  # [R]: that of each row, as `held` has them
        cache = PreallocatedCache if PREALLOCATED in said else GrownCache
        prefixes = ("past_key_values", "present")
        names, made = (cache_names(prefix, graphs.layers, SIDES[:1]) for prefix in prefixes)
        self._cache: Cache = cache(names, made, past)
        self._logits: NDArray[np.float32] = logits[:, -1]  # [B, V]
        self._bound = False

    def logits(self) -> NDArray[np.float32]:
        return self._logits

    def advance(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        if not self._bound:
            self._bind()
        self._tokens[:, 0] = tokens
        self._cache.bind(self._binding)
        self._session.run_with_iobinding(self._binding)
        self._cache.stepped(self._binding)
        return self._logits

    def keep(self, rows: NDArray[np.int64]) -> None:
        self._cache.keep(rows)
        self._sources = self._sources[rows]
        self._bound = False
        taken = self._sources
        if self._shares:
            taken = taken[np.flatnonzero(np.diff(taken, prepend=-1))]  # [B]: each once
            if not np.array_equal(np.repeat(taken, len(rows) // len(taken)), self._sources):
                taken = self._sources  # not as many rows of each: each has its own
        if not np.array_equal(taken, np.arange(len(next(iter(self._of_source.values()))))):
            self._of_source = {name: np.take(value, taken, axis=0) for name, value in self._of_source.items()}
            self._sources = np.repeat(np.arange(len(taken)), len(rows) // len(taken))

    def reorder(self, rows: NDArray[np.int64]) -> None:
        self._cache.reorder(rows)

    def _bind(self) -> None:
        """What stays as it is while the rows do. Scores are written where the search reads them."""
        from onnxruntime import OrtValue

        binding = self._binding
        rows = len(self._sources)
        self._tokens = np.empty((rows, 1), np.int64)
        self._logits = np.empty((rows, self._logits.shape[-1]), np.float32)  # [R, V]
        binding.bind_cpu_input("input_ids", self._tokens)
        for name, value in self._of_source.items():
            binding.bind_cpu_input(name, value)
        binding.clear_binding_outputs()
        binding.bind_ortvalue_output("logits", OrtValue.ortvalue_from_numpy(self._logits[:, None]))  # [R, 1, V]
        self._cache.unbound()
        self._bound = True


class CachedSteps(_Cached):
    """Steps of a model that reads a source with its encoder."""

    def __init__(self, graphs: Graphs, inputs: Mapping[str, NDArray[Any]], start: int) -> None:
        """Read sources, then take the first step.

        They are ``input_ids`` and ``attention_mask`` ``[B, S]``, and contexts where the model takes any, or images as
        `zoo.images.patches.PatchMaker` makes them.
        """
        inputs = with_context(inputs)
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
        super().__init__(graphs, logits, past, {**held, **first})


class PromptSteps(_Cached):
    """Steps of a language model, which goes on where its prompt ends."""

    def __init__(self, graphs: Graphs, input_ids: NDArray[np.int64], mask: NDArray[np.int64]) -> None:
        """Read prompts ``[B, S]``, padded on the left."""
        first = run(graphs.first, {"input_ids": input_ids, "attention_mask": mask})
        past = [first[name] for name in cache_names("present", graphs.layers, SIDES[:1])]
        super().__init__(graphs, first["logits"], past, {"attention_mask": mask})

    def advance(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        mask = self._of_source["attention_mask"]  # [R, P]
        self._of_source["attention_mask"] = longer = np.pad(mask, ((0, 0), (0, 1)), constant_values=1)  # [R, P + 1]
        self._binding.bind_cpu_input("attention_mask", longer)
        return super().advance(tokens)
