"""A spec's strategy as a search of another width."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.errors import InputError
from zoo.models.decoding import widened
from zoo.registry import current_registry
from zoo.spec.options import Chosen


def chosen(name: str, **options: Any) -> Chosen:
    component = current_registry().get("decoding", name)
    return Chosen(component, component.load_options().model_validate(options))


def test_a_wider_search_is_a_beam_with_the_strategys_constraints() -> None:
    greedy = chosen("greedy", no_repeat_ngram=3, min_new_tokens=2)
    beam = chosen("beam", width=6, no_repeat_ngram=3, min_new_tokens=2).create().settings()
    ours = widened(greedy, 6).create().settings()
    assert ours == {name: beam[name] for name in ours}
    assert beam.items() - ours.items() == {("length_penalty", 1.0), ("early_stopping", False)}  # generate's own


def test_a_beam_of_one_is_greedy_search() -> None:
    beam = chosen("beam", width=6, length_penalty=0.3, early_stopping=True, repetition_penalty=1.2)
    assert widened(beam, 1).create().settings() == chosen("greedy", repetition_penalty=1.2).create().settings()
    assert widened(beam, 2).create().settings() == {**beam.create().settings(), "num_beams": 2}


def test_what_is_drawn_at_random_has_no_width() -> None:
    with pytest.raises(InputError, match="'sampling' draws its outputs at random"):
        widened(chosen("sampling"), 2)
