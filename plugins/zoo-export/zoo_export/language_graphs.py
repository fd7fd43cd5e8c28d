"""A language model of the zoo as two functions of tensors: one reads the prompt, one goes on from the cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.export.folder import FIRST_STEP, NEXT_STEP, SIDES, cache_names
from zoo.models._compat import CACHE
from zoo_export.graphs import BATCH, FREE, ROWS, SOURCE, FlatCache, Graph, GraphModule, in_pairs


def refuse(model: Any) -> None:
    """Every language model of the zoo is exported."""


class PromptGraph(GraphModule):
    """Prompts and their mask ``[B, S]``, padded on the left -> logits ``[B, 1, V]`` behind them, and the cache."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        return _step(self.model, input_ids, attention_mask, FlatCache())


class NextTokenGraph(GraphModule):
    """The newest token ``[B, 1]``, the mask ``[B, P + 1]`` of all and the cache -> logits ``[B, 1, V]`` and the cache,
    one longer."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        return _step(self.model, input_ids, attention_mask, FlatCache(in_pairs(past)))


def _step(model: Any, ids: Tensor, mask: Tensor, cache: FlatCache) -> tuple[Tensor, ...]:
    logits = model(ids, mask, **{CACHE: cache}, use_cache=True, logits_to_keep=1).logits  # [B, 1, V]
    return logits, *cache.flat()


def graphs(model: Any) -> list[Graph]:
    """Of a model in evaluation mode, without gradients."""
    layers = len(model.decoder.layers)
    ids = torch.arange(BATCH * SOURCE).view(BATCH, SOURCE) % model.config.vocab_size  # [B, S]
    ids[:, -1] = model.separator
    prompt = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    reading, following = PromptGraph(model), NextTokenGraph(model)
    _, *cache = reading(*prompt.values())
    newest = {"input_ids": ids[:, :1], "attention_mask": torch.ones(BATCH, SOURCE + 1, dtype=torch.long)}
    newest |= dict(zip(cache_names("past_key_values", layers, SIDES[:1]), cache, strict=True))
    made = ["logits", *cache_names("present", layers, SIDES[:1])]
    return [
        Graph(FIRST_STEP, reading, prompt, made, (ROWS, ROWS)),
        Graph(NEXT_STEP, following, newest, made, ({0: FREE}, ROWS, tuple({0: FREE, 2: FREE} for _ in cache))),
    ]
