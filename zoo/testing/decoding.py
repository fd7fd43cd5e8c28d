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

from zoo.models.base import ZooModel
from zoo.models.decoding import Decoding
from zoo.spec.options import Chosen
from zoo.testing.in_a_language_model import SEPARATOR, each_language_model
from zoo.testing.in_a_model import padded
from zoo.testing.module import random_tensor
from zoo.testing.plain import plain_language_model, plain_model
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings

PAD = 0
EOS, LONGEST = 1, 9
PAIR = "encoder-decoder"
SOURCES: tuple[tuple[int, ...], ...] = ((5, 9, 4, 7, 11, 6), (8, 13, 10, 5), (12,), (7, 7, 19, 4, 20))
KEYS = (11, 22, 33, 44)


def varied_model(architecture: str = PAIR) -> ZooModel:
    """A model that writes more than one token over and over, and ends some of its outputs; always the same one."""
    return _varied_model(architecture)


@cache
def _varied_model(architecture: str) -> ZooModel:
    changes: dict[str, Any] = {"tie_embeddings": "none", "embedding_std": 1.0}
    language = architecture != PAIR
    model: ZooModel = plain_language_model(architecture, **changes) if language else plain_model(**changes)
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
        self,
        chosen: Chosen,
        rows: Sequence[int] = range(len(SOURCES)),
        *,
        longest: int = LONGEST,
        shift: int = 0,
        architecture: str = PAIR,
    ) -> list[list[int]]:
        """What the strategy gives for some of the sources, as one batch: tokens up to the end token."""
        sequences = self.sequences(chosen, rows, longest=longest, shift=shift, architecture=architecture)
        return [_until_end(row) for row in sequences.tolist()]

    def sequences(
        self, chosen: Chosen, rows: Sequence[int], *, longest: int = LONGEST, shift: int = 0, architecture: str = PAIR
    ) -> Tensor:
        """Token ids ``[B, 1 + T]`` as the strategy returns them, without what a language model has read; `shift` is
        added to the examples' keys."""
        strategy: Decoding = chosen.create()
        assert isinstance(strategy, Decoding)
        model = varied_model(architecture)
        ids, mask = padded([(*SOURCES[row], EOS) for row in rows], "right")
        inputs = model.prompts({"input_ids": ids, "attention_mask": mask})
        keys = [KEYS[row] + shift for row in rows]
        with torch.no_grad():
            return model.written(strategy.generate(model, inputs, max_new_tokens=longest, keys=keys), inputs)

    def test_outputs_begin_with_the_start_token_and_are_padded_after_the_end(self, chosen: Chosen) -> None:
        sequences = self.sequences(chosen, range(len(SOURCES)))
        assert sequences.dtype == torch.long
        assert sequences.shape[0] == len(SOURCES)
        assert 2 <= sequences.shape[1] <= 1 + LONGEST
        assert sequences[:, 0].eq(PAD).all()
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

    @each_language_model
    def test_a_language_model_writes_alone_what_it_writes_in_a_batch(self, chosen: Chosen, architecture: str) -> None:
        """Its sources stand in the rows that are written on, padded on the left."""
        sequences = self.sequences(chosen, range(len(SOURCES)), architecture=architecture).tolist()
        together = [_until_end(row) for row in sequences]
        for row in (1, 2):
            (alone,) = self.decode(chosen, [row], architecture=architecture)
            assert alone == together[row], "alone and in a batch"
        assert all(len(output) <= LONGEST for output in together), "an output is longer than asked"
        assert {row[0] for row in sequences} == {SEPARATOR}, "the separator is lost"
        self.refuse_repeated_ngrams(chosen, together, SEPARATOR)

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
        if not getattr(chosen.options, "no_repeat_ngram", 0):
            pytest.skip("not asked")
        self.refuse_repeated_ngrams(chosen, self.decode(chosen), PAD)

    def refuse_repeated_ngrams(self, chosen: Chosen, outputs: Sequence[Sequence[int]], start: int) -> None:
        """Raise AssertionError where an n-gram of the option `no_repeat_ngram` stands twice behind token `start`."""
        size = getattr(chosen.options, "no_repeat_ngram", 0)
        for output in outputs if size else ():
            written = [start, *output]
            ngrams = [tuple(written[place : place + size]) for place in range(len(written) - size + 1)]
            assert len(set(ngrams)) == len(ngrams), f"an n-gram of {size} tokens stands twice in {output}"


def _until_end(row: Sequence[int]) -> list[int]:
    """Tokens after the start token, up to and including the end token."""
    body = list(row[1:])
    return body[: body.index(EOS) + 1] if EOS in body else body
