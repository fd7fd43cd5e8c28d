"""What is asked of decoding strategies. They decode a small untrained model, in double precision: no two scores tie."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from zoo.models import ZooForCausalLM, ZooForConditionalGeneration
from zoo.models.decoding import Decoding
from zoo.spec.options import Chosen
from zoo.spec.sections import Architecture
from zoo.testing.module import random_tensor
from zoo.testing.plain import plain_model
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings

START = PAD = 0
EOS, LONGEST = 1, 9
SOURCES: tuple[tuple[int, ...], ...] = ((5, 9, 4, 7, 11, 6), (8, 13, 10, 5), (12,), (7, 7, 19, 4, 20))
KEYS = (11, 22, 33, 44)


@cache
def varied_model() -> ZooForConditionalGeneration:
    """A model that writes more than one token over and over, and ends some of its outputs."""
    return _varied()  # type: ignore[no-any-return]


@cache
def varied_language_model(architecture: Architecture = "causal-lm") -> ZooForCausalLM:
    """The same in one stack."""
    return _varied(architecture=architecture, encoder=None, fusion=None)  # type: ignore[no-any-return]


def _varied(**changes: Any) -> Any:
    model = plain_model(tie_embeddings="none", embedding_std=1.0, **changes)
    model.double().eval()
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            parameter.add_(0.1 * random_tensor(*parameter.shape, seed=6000 + index))
    return model


class DecodingSuite(ComponentSuite):
    """Decoding strategies: see `zoo.models.decoding.Decoding`.

    The trait ``random`` says that outputs are drawn: others for another key.
    """

    kind: ClassVar[str] = "decoding"

    def decode(
        self, chosen: Chosen, rows: Sequence[int] = range(len(SOURCES)), *, longest: int = LONGEST, shift: int = 0
    ) -> list[list[int]]:
        """What the strategy gives for some of the sources, as one batch: tokens up to the end token."""
        sequences = self.sequences(chosen, rows, longest=longest, shift=shift)
        return [_until_end(row) for row in sequences.tolist()]

    def sequences(self, chosen: Chosen, rows: Sequence[int], *, longest: int = LONGEST, shift: int = 0) -> Tensor:
        """Token ids ``[B, 1 + T]`` as the strategy returns them; `shift` is added to the examples' keys."""
        strategy: Decoding = chosen.create()
        assert isinstance(strategy, Decoding)
        inputs = _padded([SOURCES[row] for row in rows])
        keys = [KEYS[row] + shift for row in rows]
        with torch.no_grad():
            return strategy.generate(varied_model(), inputs, max_new_tokens=longest, keys=keys)

    def written(self, chosen: Chosen, rows: Sequence[int]) -> list[list[int]]:
        """What a language model writes behind some of the sources, as one batch: tokens up to the end token."""
        strategy: Decoding = chosen.create()
        model = varied_language_model()
        inputs = model.prompts(_padded([(*SOURCES[row], EOS) for row in rows]))
        with torch.no_grad():
            keys = [KEYS[row] for row in rows]
            sequences = strategy.generate(model, inputs, max_new_tokens=LONGEST, keys=keys)
        return [_until_end(row) for row in model.written(sequences, inputs).tolist()]

    def test_outputs_begin_with_the_start_token_and_are_padded_after_the_end(self, chosen: Chosen) -> None:
        sequences = self.sequences(chosen, range(len(SOURCES)))
        assert sequences.dtype == torch.long
        assert sequences.shape[0] == len(SOURCES)
        assert 2 <= sequences.shape[1] <= 1 + LONGEST
        assert sequences[:, 0].eq(START).all()
        for row in sequences.tolist():
            after = row[1 + len(_until_end(row)) :]
            assert set(after) <= {PAD, EOS}, f"after the end token: {after}"

    @pytest.mark.parametrize("longest", [1, 2])
    def test_no_output_is_longer_than_asked(self, chosen: Chosen, longest: int) -> None:
        assert all(len(output) <= longest for output in self.decode(chosen, longest=longest))

    def test_an_output_does_not_depend_on_the_rest_of_its_batch(self, chosen: Chosen) -> None:
        together = self.decode(chosen)
        assert [self.decode(chosen, [row])[0] for row in range(len(SOURCES))] == together, "alone and in a batch"
        order = [2, 0, 3, 1]
        assert self.decode(chosen, order) == [together[row] for row in order], "in another order"

    def test_outputs_of_a_language_model_stand_behind_their_prompts(self, chosen: Chosen) -> None:
        together = self.written(chosen, range(len(SOURCES)))
        assert all(1 <= len(output) <= LONGEST for output in together)
        assert [self.written(chosen, [row])[0] for row in range(len(SOURCES))] == together, "alone and in a batch"

    def test_the_same_options_give_the_same_outputs_and_leave_global_state_alone(self, chosen: Chosen) -> None:
        first = self.decode(chosen)
        torch.rand(3)
        with untouched_surroundings():
            assert self.decode(chosen) == first

    def test_draws_belong_to_the_key_where_there_are_any(self, chosen: Chosen) -> None:
        other = self.decode(chosen, shift=1) != self.decode(chosen)
        assert other == bool(self.registered().traits.get("random")), "trait 'random' against what other keys change"

    def test_what_the_model_was_saved_with_is_neither_used_nor_changed(self, chosen: Chosen) -> None:
        expected = self.decode(chosen)
        model = varied_model()
        kept = model.generation_config
        model.generation_config = copy.deepcopy(kept)
        saved: dict[str, Any] = {
            "num_beams": 3,
            "length_penalty": 0.1,
            "no_repeat_ngram_size": 1,
            "repetition_penalty": 9.0,
            "min_new_tokens": 8,
        }
        model.generation_config.update(**saved)
        before = model.generation_config.to_dict()
        try:
            assert self.decode(chosen) == expected
            assert model.generation_config.to_dict() == before
        finally:
            model.generation_config = kept

    def test_settings_are_fields_of_a_generation_config(self, chosen: Chosen) -> None:
        strategy: Decoding = chosen.create()
        settings = strategy.settings()
        assert json.loads(json.dumps(settings, allow_nan=False)) == settings
        config = GenerationConfig()
        assert config.update(**settings) == {}, "settings that transformers does not know"
        config.validate()
        assert "settings" in vars(type(strategy)), "a strategy has settings of its own"
        assert not inspect.isabstract(type(strategy))

    def test_no_ngram_stands_twice_where_that_is_asked(self, chosen: Chosen) -> None:
        size = getattr(chosen.options, "no_repeat_ngram", 0)
        if not size:
            pytest.skip("not asked")
        for output in self.decode(chosen):
            written = [START, *output]
            ngrams = [tuple(written[start : start + size]) for start in range(len(written) - size + 1)]
            assert len(set(ngrams)) == len(ngrams), f"an n-gram of {size} tokens stands twice in {output}"


def _padded(sources: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    longest = max(map(len, sources))
    ids = [[*source, *[PAD] * (longest - len(source))] for source in sources]
    mask = [[1] * len(source) + [0] * (longest - len(source)) for source in sources]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def _until_end(row: Sequence[int]) -> list[int]:
    """Tokens after the start token, up to and including the end token."""
    body = list(row[1:])
    return body[: body.index(EOS) + 1] if EOS in body else body
