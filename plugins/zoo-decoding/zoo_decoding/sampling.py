"""Sampling that can be repeated: every example has random numbers of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from zoo.models.decoding import Decoding, run_generate
from zoo_decoding.constraints import constraints
from zoo_decoding.options import SamplingOptions


class Sampling(Decoding):
    """Draws each token from the model's distribution, tempered and cut off.

    ``argmax_i(z_i + g_i)`` with independent Gumbel noise g is a draw from ``softmax(z)`` (Gumbel 1954; Maddison et al.
    2014), so that a greedy search over noisy logits samples. The noise comes from one generator an example, seeded
    with the option `seed` and the example's key: an output depends neither on the rest of its batch nor on the global
    generator, which is left as it was. On another kind of device the draws are others.

    A saved model's plain `generate()` draws from the same distribution, but from torch's global generator.
    """

    options: SamplingOptions

    def settings(self) -> dict[str, Any]:
        options = self.options
        return {
            "do_sample": True,
            "num_beams": 1,
            "temperature": options.temperature,
            "top_k": options.top_k,
            "top_p": options.top_p,
            "min_p": options.min_p or None,
            **constraints(options),
        }

    def generate(self, model: Any, inputs: Mapping[str, Any], *, max_new_tokens: int, keys: Sequence[int]) -> Tensor:
        noise = GumbelNoise([_seed(self.options.seed, key) for key in keys], model.device)
        return run_generate(
            model,
            inputs,
            constraints(self.options),
            max_new_tokens=max_new_tokens,
            logits_processor=LogitsProcessorList([*self.cut_offs(), noise]),
        )

    def cut_offs(self) -> list[LogitsProcessor]:
        """Temperature and truncations, in transformers' order."""
        options = self.options
        found: list[LogitsProcessor] = []
        if options.temperature != 1.0:
            found.append(TemperatureLogitsWarper(options.temperature))
        if options.top_k:
            found.append(TopKLogitsWarper(options.top_k))
        if options.top_p < 1.0:
            found.append(TopPLogitsWarper(options.top_p))
        if options.min_p:
            found.append(MinPLogitsWarper(options.min_p))
        return found


class GumbelNoise(LogitsProcessor):  # type: ignore[misc]
    """Adds Gumbel noise to each row's logits, from a generator of the row's own."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Token ids so far ``[B, T]``, logits ``[B, V]`` -> noisy logits ``[B, V]``."""
        exponential = torch.empty_like(scores)  # [B, V]
        for row, generator in zip(exponential, self.generators, strict=True):
            row.exponential_(generator=generator)
        return scores - exponential.log()  # -log of an exponential variable is a Gumbel variable


def _seed(seed: int, key: int) -> int:
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
