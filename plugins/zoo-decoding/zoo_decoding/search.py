"""Search for a likely output: greedy, and by beams."""

from __future__ import annotations

from typing import Any

from zoo.models.decoding import Decoding
from zoo_decoding.constraints import constraints
from zoo_decoding.options import BeamOptions, GreedyOptions


class Greedy(Decoding):
    """The likeliest token at every step."""

    options: GreedyOptions

    def settings(self) -> dict[str, Any]:
        return {"do_sample": False, "num_beams": 1, **constraints(self.options)}


class Beam(Decoding):
    """The best of `width` hypotheses that grow together, by ``log p(y | x) / |y|^p`` (transformers' beam search).

    |y| counts the end token. With p = 0 it is the likeliest hypothesis found; the larger p, the longer the outputs.
    """

    options: BeamOptions

    def settings(self) -> dict[str, Any]:
        return {
            "do_sample": False,
            "num_beams": self.options.width,
            "length_penalty": self.options.length_penalty,
            "early_stopping": self.options.early_stopping,
            **constraints(self.options),
        }
