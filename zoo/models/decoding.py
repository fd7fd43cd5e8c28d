"""The contract of decoding strategies: how a model's output is chosen from its probabilities."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo.errors import InputError
from zoo.spec.options import Chosen, Options
from zoo.spec.sections import DecodingSection

NEUTRAL: Mapping[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "num_return_sequences": 1,
    "length_penalty": 1.0,
    "early_stopping": False,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "min_new_tokens": None,
}
"""Settings of a search that does nothing special: those that a saved model carries must not mix with a strategy's."""


class Decoding(ABC):
    """A decoding strategy. Built as ``target(options)``.

    What its options cannot stand beside in a decoding section, such as a longest output that is too short, they say
    themselves (`zoo.spec.options.Options.objection`).
    """

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The strategy as fields of transformers' GenerationConfig, as far as these can say it: they are saved with
        the model, so that its plain `generate()` decodes alike."""

    def generate(self, model: Any, inputs: Mapping[str, Any], *, max_new_tokens: int, keys: Sequence[int]) -> Tensor:
        """Token ids ``[B, 1 + T]``, the start token first; T is at most `max_new_tokens`.

        Of a language model ``[B, S + T]``, behind the prompts ``[B, S]`` of `inputs`, whose last token is the separator
        (`ZooModel.written` cuts them down to the above).

        After the first end token a row holds padding or end tokens.

        `inputs` are the keyword arguments of the model's `generate` that hold B sources; the model is in evaluation
        mode. `keys` hold a number for each of the B examples: what is drawn at random depends on the options and the
        example's key alone, never on the rest of the batch or on a global generator.
        """
        return run_generate(model, inputs, self.settings(), max_new_tokens=max_new_tokens)


def run_generate(
    model: Any, inputs: Mapping[str, Any], settings: Mapping[str, Any], *, max_new_tokens: int, **more: Any
) -> Tensor:
    """transformers' `generate` with these settings and neutral ones beside them, whatever the model was saved with."""
    chosen: dict[str, Any] = {**NEUTRAL, **settings, "max_new_tokens": max_new_tokens}
    if chosen["min_new_tokens"] is not None:
        # The longest output may have been cut to the end of a table of positions.
        chosen["min_new_tokens"] = min(chosen["min_new_tokens"], max_new_tokens)
    sequences: Tensor = model.generate(**inputs, **chosen, **more)  # [B, 1 + T]
    return sequences


class _Widened(Decoding):
    """A strategy that keeps another number of hypotheses; what it says of outputs else holds as it did."""

    def __init__(self, strategy: Decoding, width: int) -> None:
        super().__init__(strategy.options)
        self._strategy, self._width = strategy, width

    def settings(self) -> dict[str, Any]:
        found = {**self._strategy.settings(), "num_beams": self._width}
        alone = ("length_penalty", "early_stopping") if self._width == 1 else ()  # of beams only
        return {name: value for name, value in found.items() if name not in alone}


@dataclass(frozen=True)
class _Made:
    """A strategy that stands where a spec has a chosen one."""

    strategy: Decoding

    def create(self) -> Decoding:
        return self.strategy


def widened(chosen: Chosen, width: int) -> Any:
    """The strategy of a spec as a search of so many hypotheses, 1 being greedy, to stand in its decoding section.

    Raises InputError where it draws its outputs at random.
    """
    strategy: Decoding = chosen.create()
    if strategy.settings().get("do_sample"):
        raise InputError(f"decoding.strategy: '{chosen.name}' draws its outputs at random: no width fits it")
    return _Made(_Widened(strategy, width))


def redecoded(
    decoding: DecodingSection, *, width: int | None, max_new_tokens: int | None = None, batch_size: int | None = None
) -> DecodingSection:
    """A spec's decoding section with what is given in the place of its own; errors as those of `widened`."""
    changes = {
        "strategy": None if width is None else widened(decoding.strategy, width),
        "max_new_tokens": max_new_tokens,
        "batch_size": batch_size,
    }
    return decoding.model_copy(update={name: value for name, value in changes.items() if value is not None})


def key_of(text: str) -> int:
    """The key of the example whose source is `text`: the same text has the same draws in every batch and run."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")
