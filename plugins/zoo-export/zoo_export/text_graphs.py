"""An encoder-decoder of the zoo as three functions of tensors.

What a step needs of the source beside keys and values is carried: a graph gives it by a name, and later graphs take it
by that name. Carried are the source's embeddings and states (output fusions read them), the masks that a fusion makes
of its memory, and a context's states, mask, keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.export.folder import (
    CONTEXT_IDS,
    CONTEXT_MASK,
    ENCODER,
    FIRST_STEP,
    MASK,
    NEXT_STEP,
    SIDES,
    STATES,
    cache_names,
)
from zoo.models.contracts import Context
from zoo.models.encoder import EncoderOutput
from zoo_export.graphs import (
    BATCH,
    FREE,
    ROWS,
    SOURCE,
    FlatCaches,
    Graph,
    GraphModule,
    both_sides,
    in_pairs,
    interleaved,
)

CONTEXT = 4
"""Tokens of the context that is traced."""
EMBEDDINGS, CONTEXT_STATES = "source_embeddings", "context_hidden_states"
MEMORY_MASK, CONTEXT_CACHE = "memory_mask", "context"


def refuse(model: Any) -> None:
    """Raise InputError for a context that is none of the sentence's own."""
    chosen = model.section.context_encoder
    if chosen is not None and chosen.options.context in {"shuffled", "gaussian"}:
        raise InputError(
            f"model.context_encoder: '{chosen.id}' with context: {chosen.options.context}, a control that reads no "
            "context of the sentence, cannot be exported to ONNX"
        )


@dataclass(frozen=True)
class Carried:
    """What is carried from graph to graph in a model, beside the top of the encoder and both caches."""

    embeddings: bool
    """Whether an output fusion reads the source's embeddings, and the encoder's states at every step."""
    masks: tuple[int | None, ...]
    """Which of the fusion's own masks each decoder layer's memory has; empty where it has the source's."""
    reads_context: bool
    """Whether the encoder takes a context."""
    attends_context: bool
    """Whether each decoder layer attends to it."""

    @classmethod
    def of(cls, model: Any) -> Carried:
        """What `model` carries."""
        ids = torch.full((1, 2), int(model.config.eos_token_id))  # [1, S]
        mask = torch.ones(1, 2, dtype=torch.bool)
        states = model.states_for_fusion(model.encoder(ids, mask))  # [1, L or 1, S, D]
        masks = masks_of_fusion(model, states, mask)
        reads = model.reads_context and model.section.context_encoder.options.context == "true"
        return cls(
            embeddings=model.output_fusion is not None,
            masks=masks,
            reads_context=reads,
            attends_context=reads and model.encoder.keep_context,
        )

    @property
    def mask_names(self) -> list[str]:
        """Of the masks that a fusion makes, each once."""
        return [
            f"{MEMORY_MASK}.{place}" for place in range(max((i for i in self.masks if i is not None), default=-1) + 1)
        ]

    @property
    def encoder_outputs(self) -> list[str]:
        """Beside the encoder's top."""
        return [*([EMBEDDINGS] if self.embeddings else []), *([CONTEXT_STATES] if self.attends_context else [])]

    @property
    def step_inputs(self) -> list[str]:
        """What each step takes beside the new tokens, the source's mask and the caches."""
        return [*self.encoder_outputs, *([CONTEXT_MASK] if self.attends_context else [])]

    def context_cache(self, layers: int) -> list[str]:
        """Names of the keys and values of a context that each decoder layer attends to."""
        return cache_names(CONTEXT_CACHE, layers, ("encoder",)) if self.attends_context else []


def masks_of_fusion(model: Any, states: Tensor, mask: Tensor) -> tuple[int | None, ...]:
    """`Carried.masks`, by asking the fusion once for each layer: states ``[B, L or 1, S, D]``, mask ``[B, S]``."""
    found = [model.decoder.fusion.memory(states, mask, layer).mask for layer in range(len(model.decoder.layers))]
    if all(item is mask for item in found):
        return ()
    if model.decoder.fusion.shared_by_layers:
        found = found[:1] * len(found)
    known: list[Tensor] = []
    for item in found:
        if item is not None and not any(item is other for other in known):
            known.append(item)
    return tuple(None if item is None else [other is item for other in known].index(True) for item in found)


class EncoderGraph(GraphModule):
    """Source ids and mask ``[B, S]``, and of a model that reads context also its ids and mask ``[B, C]`` -> what the
    decoder reads: ``[B, S, D]``, or ``[B, L, S, D]`` of every layer; then what is carried."""

    def __init__(self, model: Any, carried: Carried) -> None:
        super().__init__(model)
        self.carried = carried

    def forward(self, input_ids: Tensor, attention_mask: Tensor, *context: Tensor) -> tuple[Tensor, ...]:
        ids, mask = context or (None, None)
        encoded = self.model.encoder(input_ids, attention_mask, context_input_ids=ids, context_attention_mask=mask)
        states: Tensor = self.model.states_for_fusion(encoded)  # [B, L or 1, S, D]
        top = states if self.model.encoder.keep_layers else states[:, 0]
        more = {EMBEDDINGS: encoded.source_embeddings, CONTEXT_STATES: encoded.context_states}
        return top, *(more[name] for name in self.carried.encoder_outputs)


class StepGraph(GraphModule):
    """What both kinds of steps have in common."""

    def __init__(self, model: Any, carried: Carried) -> None:
        super().__init__(model)
        self.carried = carried

    def step(
        self, ids: Tensor, states: Tensor | None, mask: Tensor, given: dict[str, Tensor], caches: FlatCaches
    ) -> Tensor:
        """New tokens ``[B, 1]`` and encoder states, or None behind the first step -> scores ``[B, 1, V]``."""
        model, layered = self.model, None
        if states is not None:
            layered = states if model.encoder.keep_layers else states[:, None]  # [B, L or 1, S, D]
        context = None
        if self.carried.attends_context:
            context = Context(given[CONTEXT_STATES], given[CONTEXT_MASK].bool())
        first = not caches.is_updated
        decoded = model.decoder(ids, None, layered if first else None, mask, caches, context=context)
        logits: Tensor = model._logits(decoded.last_hidden_state)  # [B, 1, V]
        if model.output_fusion is None:
            return logits
        assert layered is not None
        encoded = EncoderOutput(last_hidden_state=layered[:, -1], source_embeddings=given[EMBEDDINGS])
        fused: Tensor = model._fused(
            model.output_fusion, logits, decoded.last_hidden_state, encoded, mask.bool()[:, None]
        )
        return fused  # [B, 1, V]


class FirstStepGraph(StepGraph):
    """The start token ``[B, 1]`` and the memory -> scores ``[B, 1, V]``, both caches, and what is carried on."""

    def forward(
        self, input_ids: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor, *given: Tensor
    ) -> tuple[Tensor, ...]:
        caches = FlatCaches()
        named = dict(zip(self.carried.step_inputs, given, strict=True))
        logits = self.step(input_ids, encoder_hidden_states, encoder_attention_mask, named, caches)
        return logits, *caches.flat(), *self._of_context(caches), *self._masks(caches)

    def _of_context(self, caches: FlatCaches) -> tuple[Tensor, ...]:
        if not self.carried.attends_context:
            return ()
        return caches.cross_attention_cache.flat()[2 * len(self.model.decoder.layers) :]

    def _masks(self, caches: Any) -> Iterator[Tensor]:
        masks = self.carried.masks
        for place in range(len(self.carried.mask_names)):
            yield caches.zoo_memory_masks[masks.index(place)].long()  # [B, S]


class NextStepGraph(StepGraph):
    """The newest token ``[B, 1]``, both caches and what is carried -> scores ``[B, 1, V]`` and the decoder's cache, one
    longer."""

    def forward(self, input_ids: Tensor, encoder_attention_mask: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        carried, layers = self.carried, len(self.model.decoder.layers)
        # Copies, which are none in the graph: no operator says how an input lies in memory, and a product may ask.
        own, memory = both_sides([tensor.clone() for tensor in given[: 4 * layers]])
        rest = iter(given[4 * layers :])
        states = next(rest) if carried.embeddings else None
        named = {name: next(rest) for name in carried.step_inputs}
        memory += in_pairs([next(rest) for _ in carried.context_cache(layers)])
        caches: Any = FlatCaches(own, memory)
        masks = [next(rest).bool() for _ in carried.mask_names]
        if carried.masks:
            caches.zoo_memory_masks = [None if place is None else masks[place] for place in carried.masks]
        logits = self.step(input_ids, states, encoder_attention_mask, named, caches)
        return logits, *caches.flat(("decoder",))


def graphs(model: Any) -> list[Graph]:
    """Of a model in evaluation mode, without gradients."""
    carried = Carried.of(model)
    ids = torch.arange(BATCH * SOURCE).view(BATCH, SOURCE) % model.config.source_vocab_size  # [B, S]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if carried.reads_context:
        context = ids[:, :CONTEXT]  # [B, C]
        inputs |= {CONTEXT_IDS: context, CONTEXT_MASK: torch.ones_like(context)}
    encoder = EncoderGraph(model, carried)
    states, *more = encoder(*inputs.values())
    named = dict(zip(carried.encoder_outputs, more, strict=True))
    if carried.attends_context:
        named[CONTEXT_MASK] = inputs[CONTEXT_MASK]
    free = (ROWS, ROWS, *([(ROWS, ROWS)] if carried.reads_context else []))
    return [
        Graph(ENCODER, encoder, inputs, ["last_hidden_state", *carried.encoder_outputs], free),
        *decoder_graphs(model, states, inputs["attention_mask"], carried, named),
    ]


def decoder_graphs(model: Any, states: Tensor, mask: Tensor, carried: Carried, named: dict[str, Tensor]) -> list[Graph]:
    """Both kinds of steps behind an encoder that gives states ``[B, S, D]`` or ``[B, L, S, D]``, with the mask
    ``[B, S]`` of what it read, and what else is carried from it."""
    layers = len(model.decoder.layers)
    start = torch.full((BATCH, 1), int(model.config.decoder_start_token_id))
    taken = {name: named[name] for name in carried.step_inputs}
    first = {"input_ids": start, STATES: states, MASK: mask, **taken}
    first_step, next_step = FirstStepGraph(model, carried), NextStepGraph(model, carried)
    given = first_step(*first.values())
    behind = [*carried.context_cache(layers), *carried.mask_names]
    made = dict(zip(["logits", *cache_names("present", layers), *behind], given, strict=True))
    held: dict[str, Tensor] = {STATES: states} if carried.embeddings else {}
    held |= taken | {name: made[name] for name in behind}
    both = given[1 : 1 + 4 * layers]
    # Two tokens are held, so that their number is no constant.
    second = next_step(start, mask, *both, *held.values())
    past = dict(zip(cache_names("past_key_values", layers), interleaved(second[1:], both), strict=True))
    lengths = [{0: FREE, tensor.ndim - 2: FREE} for tensor in past.values()]
    lengths += [{0: FREE, max(1, tensor.ndim - 2): FREE} for tensor in held.values()]
    return [
        Graph(
            FIRST_STEP,
            first_step,
            first,
            list(made),
            ({0: FREE}, {0: FREE, states.ndim - 2: FREE}, ROWS, *([tuple(ROWS for _ in taken)] if taken else [])),
        ),
        Graph(
            NEXT_STEP,
            next_step,
            {"input_ids": start, MASK: mask, **past, **held},
            ["logits", *cache_names("present", layers, SIDES[:1])],
            ({0: FREE}, ROWS, tuple(lengths)),
        ),
    ]
