"""The kit fails decoding strategies that break their contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.models.decoding import Decoding, run_generate
from zoo.testing import ComponentSuite, DecodingSuite

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]


class Greedy(Decoding):
    """The likeliest token: nothing wrong with it."""

    def settings(self) -> dict[str, Any]:
        return {"do_sample": False}


class DrawsGlobally(Decoding):
    """transformers' own sampling."""

    def settings(self) -> dict[str, Any]:
        return {"do_sample": True, "temperature": 2.0}


class TrustsTheModel(Greedy):
    """Leaves what it does not set to what the model was saved with."""

    def generate(self, model: Any, inputs: Mapping[str, Any], *, max_new_tokens: int, keys: Sequence[int]) -> Tensor:
        sequences: Tensor = model.generate(**inputs, **self.settings(), max_new_tokens=max_new_tokens)  # [B, 1 + T]
        return sequences


class DrawsByPlace(Greedy):
    """Random by the place in the batch, not by the example."""

    def generate(self, model: Any, inputs: Mapping[str, Any], *, max_new_tokens: int, keys: Sequence[int]) -> Tensor:
        sequences = run_generate(model, inputs, self.settings(), max_new_tokens=max_new_tokens)  # [B, 1 + T]
        sequences[:, 1] = 4 + torch.arange(len(sequences))
        return sequences


class WritesOn(Greedy):
    """Does not stop at the longest output, nor at its end."""

    def generate(self, model: Any, inputs: Mapping[str, Any], *, max_new_tokens: int, keys: Sequence[int]) -> Tensor:
        sequences = run_generate(model, inputs, self.settings(), max_new_tokens=max_new_tokens)  # [B, 1 + T]
        return torch.cat((sequences, torch.full_like(sequences[:, :1], 9)), dim=1)  # [B, 2 + T]


class InventsASetting(Greedy):
    """Asks for what transformers has not."""

    def settings(self) -> dict[str, Any]:
        return {"do_sample": False, "num_beems": 4}


class CutsByTheStart(Greedy):
    """Takes the row to begin with the start token."""

    def generate(self, model: Any, inputs: Mapping[str, Any], *, max_new_tokens: int, keys: Sequence[int]) -> Tensor:
        sequences = run_generate(model, inputs, self.settings(), max_new_tokens=max_new_tokens)  # [B, 1 + T]
        return sequences[:, : 1 + max_new_tokens]


ALONE = "test_a_language_model_writes_alone_what_it_writes_in_a_batch"
CASES: list[tuple[type[Decoding], str, tuple[Any, ...], str | None]] = [
    (DrawsGlobally, "test_the_same_options_give_the_same_outputs_and_leave_global_state_alone", (), None),
    (TrustsTheModel, "test_what_the_model_was_saved_with_is_neither_used_nor_changed", (), None),
    (DrawsByPlace, "test_an_output_does_not_depend_on_the_rest_of_its_batch", (), "alone and in a batch"),
    (WritesOn, "test_no_output_is_longer_than_asked", (1,), None),
    (CutsByTheStart, ALONE, ("causal-lm",), "alone and in a batch"),
    (InventsASetting, "test_settings_are_fields_of_a_generation_config", (), "does not know"),
]


@pytest.mark.parametrize(("strategy", "test", "arguments", "words"), CASES)
def test_a_broken_strategy_is_caught(
    installed: Installed, run: Run, strategy: type[Decoding], test: str, arguments: tuple[Any, ...], words: str | None
) -> None:
    with pytest.raises(AssertionError, match=words):
        run(installed(DecodingSuite, strategy), test, *arguments)


@pytest.mark.parametrize(("test", "arguments"), sorted({case[1:3] for case in CASES}))
def test_a_sound_strategy_passes_what_catches_the_others(
    installed: Installed, run: Run, test: str, arguments: tuple[Any, ...]
) -> None:
    run(installed(DecodingSuite, Greedy), test, *arguments)


def test_a_strategy_that_draws_must_say_so(installed: Installed, run: Run) -> None:
    test = "test_draws_belong_to_the_key_where_there_are_any"
    run(installed(DecodingSuite, Greedy), test)
    with pytest.raises(AssertionError, match="trait 'random'"):
        run(installed(DecodingSuite, Greedy, traits={"random": True}), test)


def test_what_is_wrong_with_a_language_model_alone_is_wrong_nowhere_else(installed: Installed, run: Run) -> None:
    suite = installed(DecodingSuite, CutsByTheStart)
    run(suite, "test_an_output_does_not_depend_on_the_rest_of_its_batch")
    run(suite, "test_outputs_begin_with_the_start_token_and_are_padded_after_the_end")
