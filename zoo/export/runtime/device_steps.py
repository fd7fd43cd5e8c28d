"""A batch being written on a device: keys and values stay in its memory from step to step, scores alone come back.

The searches are those of the host (`zoo.export.runtime.steps`): they see the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.export.folder import MASK, ROWS, SIDES, STATES, cache_names
from zoo.export.runtime.devices import Buffers, Memory, Tensor
from zoo.export.runtime.sessions import Graphs
from zoo.export.runtime.steps import CachedSteps, PromptSteps, Steps, with_context

_SCORES = frozenset({"logits"})


def source_steps(graphs: Graphs, inputs: Mapping[str, NDArray[Any]], start: int) -> Steps:
    """Steps of a model with an encoder, where its graphs compute; arguments as of `CachedSteps`."""
    return DeviceSteps(graphs, inputs, start) if graphs.device.bound else CachedSteps(graphs, inputs, start)


def prompt_steps(graphs: Graphs, input_ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Steps:
    """Steps of a language model, where its graphs compute; arguments as of `PromptSteps`."""
    return DevicePromptSteps(graphs, input_ids, mask) if graphs.device.bound else PromptSteps(graphs, input_ids, mask)


class _OnDevice:
    """`Steps` on a device. One call's own: not to be shared between threads."""

    def __init__(
        self,
        graphs: Graphs,
        memory: Memory,
        logits: NDArray[np.float32],
        past: dict[str, Tensor],
        held: Mapping[str, Tensor],
    ) -> None:
        """`past` is what grows with each step, `held` what a step takes of the source: by the names of inputs."""
        self._graphs = graphs
        self._memory = memory
        self._binding = graphs.following.io_binding()
        wanted = {item.name for item in graphs.following.get_inputs()}
        self._held = {name: tensor for name, tensor in held.items() if name in wanted}
        self._past = past
        self._logits: NDArray[np.float32] = logits[:, -1]  # [B, V]
        self._buffers = Buffers(memory)
        self._bound = False

    def logits(self) -> NDArray[np.float32]:
        """See `zoo.export.runtime.steps.Steps`."""
        return self._logits

    def advance(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Steps`."""
        if not self._bound:
            self._bind(len(tokens))
        memory, binding = self._memory, self._binding
        self._tokens.value.update_inplace(np.ascontiguousarray(tokens[:, None]))
        # Each time anew: where a graph wants an input at the host, binding is what copies it there.
        memory.bind_input(binding, "input_ids", self._tokens)
        after = {}
        for name, tensor in self._past.items():
            rows, heads, length, width = tensor.shape
            after[name] = self._buffers.next(name, (rows, heads, length + 1, width), tensor.dtype)
            memory.bind_input(binding, name, tensor)
            memory.bind_output(binding, _present(name), after[name])
        self._graphs.following.run_with_iobinding(binding)
        self._past = after
        return self._logits

    def keep(self, rows: NDArray[np.int64]) -> None:
        """See `Steps`."""
        if self._graphs.keep is None:
            self._past, self._held = self._by_the_host(self._past, rows), self._by_the_host(self._held, rows)
        else:
            given = {**self._past, **self._held, ROWS: self._memory.put(rows)}
            made, _ = self._memory.run(self._graphs.keep, given)
            self._past = {name: made[_taken(name)] for name in self._past}
            self._held = {name: made[_taken(name)] for name in self._held}
        self._bound = False

    def reorder(self, rows: NDArray[np.int64]) -> None:
        """See `Steps`."""
        if np.array_equal(rows, np.arange(len(rows))):
            return
        session, memory = self._graphs.reorder, self._memory
        if session is None:
            self._past = self._by_the_host(self._past, rows)
            return
        binding = session.io_binding()
        places = memory.put(rows)
        memory.bind_input(binding, ROWS, places)
        after = {}
        for name, tensor in self._past.items():
            after[name] = self._buffers.next(name, tensor.shape, tensor.dtype)
            memory.bind_input(binding, name, tensor)
            memory.bind_output(binding, _taken(name), after[name])
        session.run_with_iobinding(binding)
        self._past = after

    def _bind(self, rows: int) -> None:
        """What stays as it is while the rows do. Scores are copied to where the search reads them."""
        from onnxruntime import OrtValue

        self._tokens = self._memory.empty((rows, 1), np.int64)
        self._logits = np.empty((rows, self._logits.shape[-1]), np.float32)  # [R, V]
        for name, tensor in self._held.items():
            self._memory.bind_input(self._binding, name, tensor)
        self._binding.clear_binding_outputs()
        self._binding.bind_ortvalue_output("logits", OrtValue.ortvalue_from_numpy(self._logits[:, None]))  # [R, 1, V]
        self._bound = True

    def _by_the_host(self, tensors: Mapping[str, Tensor], rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """Rows of tensors by way of the host's memory, for exports that have no graph for it."""
        memory = self._memory
        return {name: memory.put(np.take(memory.read(tensor), rows, axis=0)) for name, tensor in tensors.items()}


class DeviceSteps(_OnDevice):
    """Steps of a model that reads a source with its encoder."""

    def __init__(self, graphs: Graphs, inputs: Mapping[str, NDArray[Any]], start: int) -> None:
        """Read sources, then take the first step; arguments as of `CachedSteps`."""
        memory = Memory(graphs.device.kind, graphs.device.number)
        given = {name: memory.put(array) for name, array in with_context(inputs).items()}
        encoded, _ = memory.run(graphs.encoder, given)
        held = {name: tensor for name, tensor in given.items() if name not in {"input_ids", "attention_mask"}} | encoded
        if "attention_mask" in given:  # an encoder of images gives one
            held[MASK] = given["attention_mask"]
        held[STATES] = held.pop("last_hidden_state")
        begin = memory.put(np.full((held[STATES].shape[0], 1), start, np.int64))
        first, host = memory.run(graphs.first, {**held, "input_ids": begin}, _SCORES)
        past = _renamed(first, graphs.layers, SIDES[0])
        held |= _renamed(first, graphs.layers, SIDES[1])
        super().__init__(graphs, memory, host["logits"], past, {**held, **first})


class DevicePromptSteps(_OnDevice):
    """Steps of a language model, which goes on where its prompt ends."""

    def __init__(self, graphs: Graphs, input_ids: NDArray[np.int64], mask: NDArray[np.int64]) -> None:
        """Read prompts ``[B, S]``, padded on the left."""
        memory = Memory(graphs.device.kind, graphs.device.number)
        given = {"input_ids": memory.put(input_ids), "attention_mask": memory.put(mask)}
        first, host = memory.run(graphs.first, given, _SCORES)
        past = _renamed(first, graphs.layers, SIDES[0])
        super().__init__(graphs, memory, host["logits"], past, {"attention_mask": given["attention_mask"]})
        self._mask = mask  # [R, P]

    def advance(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """See `Steps`."""
        self._mask = np.pad(self._mask, ((0, 0), (0, 1)), constant_values=1)  # [R, P + 1]
        self._held["attention_mask"] = longer = self._memory.put(self._mask)
        self._memory.bind_input(self._binding, "attention_mask", longer)
        return super().advance(tokens)

    def keep(self, rows: NDArray[np.int64]) -> None:
        """See `Steps`."""
        super().keep(rows)
        self._mask = self._mask[rows]


def _renamed(made: dict[str, Tensor], layers: int, side: str) -> dict[str, Tensor]:
    """Take one side's keys and values out of what a first step has `made`, by the names under which a step takes
    them."""
    names = zip(cache_names("past_key_values", layers, (side,)), cache_names("present", layers, (side,)), strict=True)
    return {name: made.pop(given) for name, given in names}


def _present(name: str) -> str:
    """What a step calls the cache that it gives for the one that it takes as `name`."""
    return name.replace("past_key_values.", "present.", 1)


def _taken(name: str) -> str:
    """What a graph that takes rows calls those of the input `name`."""
    return f"{ROWS}.{name}"
