"""The kit fails components that are wrong in a language model, though nothing be wrong with them elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.models.contracts import Block, BlockContext, Formula, Position, Term
from zoo.spec.options import Options
from zoo.testing import BlockSuite, ComponentSuite, PositionSuite
from zoo.testing.plain import PlainBlock

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]


class Looks(Position):
    """A bias of the decoder's, by how far a key stands before the query."""

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        ones = torch.ones(self.context.heads, 1, device=q_positions.device)
        return (Formula(ones, self.bias),) if self.context.side == "decoder" else ()

    def bias(self, parameters: tuple[Tensor, ...], i: Tensor, j: Tensor) -> Tensor:
        raise NotImplementedError


class HidesWhatFollows(Looks):
    """Lets the decoder look back alone, whatever is visible."""

    def bias(self, parameters: tuple[Tensor, ...], i: Tensor, j: Tensor) -> Tensor:
        return -1e4 * parameters[0] * (j > i)


class RootOfTheDistance(Looks):
    """Knows no key behind the query in a decoder."""

    def bias(self, parameters: tuple[Tensor, ...], i: Tensor, j: Tensor) -> Tensor:
        return -parameters[0] * (i - j).float().sqrt()


class EndsWithoutAWord(Position):
    """Has a table and does not say where it ends."""

    def __init__(self, options: Options, context: Any) -> None:
        super().__init__(options, context)
        self.table = nn.Parameter(torch.randn(context.max_positions, context.d_model))

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + self.table[positions]


class WeighsByTheEncoder(PlainBlock):
    """Weighs what sublayers bring by the depth of an encoder."""

    def __init__(self, options: Options, context: BlockContext) -> None:
        super().__init__(options, context)
        self.weight = context.encoder_layers**0.5

    def forward(self, x: Tensor, sublayers: Any) -> Tensor:
        return super().forward(x, tuple(lambda y, of=of: self.weight * of(y) for of in sublayers))


class CentresTheText(PlainBlock):
    """Takes the mean over the text off, where there is no encoder to do so."""

    def __init__(self, options: Options, context: BlockContext) -> None:
        super().__init__(options, context)
        self.alone = context.side == "decoder" and not context.encoder_layers

    def forward(self, x: Tensor, sublayers: Any) -> Tensor:
        output = super().forward(x, sublayers)
        return output - output.mean(1, keepdim=True) if self.alone else output


_IN = "test_in_a_language_model_"
_ALONE, _CACHED, _SEE = (
    f"{_IN}{rest}"
    for rest in ("each_text_is_computed_as_if_alone", "cached_decoding_equals_one_pass", "tokens_see_what_they_should")
)
_LONGER = f"{_IN}longer_texts_than_any_trained_on_are_finite_or_refused"
_HALF = f"{_IN}bfloat16_stays_finite"
CASES: list[tuple[type[Position | Block], str, tuple[str, ...], str]] = [
    (HidesWhatFollows, _SEE, ("prefix-lm",), "does not see those that follow"),
    (RootOfTheDistance, _ALONE, ("prefix-lm",), "not finite"),
    (RootOfTheDistance, _HALF, (), "not finite"),
    (EndsWithoutAWord, _LONGER, (), "out of"),
    (WeighsByTheEncoder, _SEE, ("causal-lm",), "does not depend on the first token"),
    (CentresTheText, _ALONE, ("causal-lm",), "padded right and left"),
    (CentresTheText, _CACHED, ("causal-lm",), "cached against one pass"),
    (CentresTheText, _SEE, ("causal-lm",), "sees what is written after it"),
]


def _suite(installed: Installed, component: type) -> ComponentSuite:
    if issubclass(component, Position):
        return installed(PositionSuite, component, traits={"where": "attention"})
    return installed(BlockSuite, component)


@pytest.mark.parametrize(("component", "test", "arguments", "words"), CASES)
def test_what_only_a_language_model_finds_out_is_caught(
    installed: Installed, run: Run, component: type, test: str, arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises((AssertionError, IndexError, RuntimeError), match=words):
        run(_suite(installed, component), test, *arguments)


@pytest.mark.parametrize("component", [HidesWhatFollows, RootOfTheDistance, WeighsByTheEncoder, CentresTheText])
def test_it_is_found_nowhere_else(installed: Installed, run: Run, component: type) -> None:
    """Neither by an encoder-decoder nor outside of a model: else the cases above would show nothing."""
    suite = _suite(installed, component)
    for test in ("cached_decoding_equals_one_pass", "each_sentence_of_a_batch_is_computed_as_if_alone"):
        run(suite, f"test_in_a_model_{test}")
    run(suite, "test_in_a_model_left_padding_is_right_padding", "left", "right")
    run(suite, "test_in_a_model_bfloat16_stays_finite")
    run(suite, "test_each_example_of_a_batch_is_computed_as_if_alone")
    if isinstance(suite, PositionSuite):
        run(suite, "test_cached_decoding_equals_one_pass", "decoder")


@pytest.mark.parametrize("arguments", [("causal-lm",), ("prefix-lm",)])
@pytest.mark.parametrize("test", [_ALONE, _CACHED, _SEE])
def test_a_sound_one_passes(installed: Installed, run: Run, test: str, arguments: tuple[str, ...]) -> None:
    suite = installed(BlockSuite, PlainBlock)
    run(suite, test, *arguments)
    run(suite, _HALF)
