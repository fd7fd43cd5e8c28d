"""What is decoded without torch, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.errors import InputError
from zoo.export.folder import Cache, Decoding, SequencePart, Special
from zoo.export.runtime.settings import search_of
from zoo.registry import current_registry


def sequence_of(strategy: str, options: dict[str, Any], **special: Any) -> SequencePart:
    return SequencePart(
        cache=Cache(layers=1, heads=2, head_width=8),
        vocabulary=9,
        special=Special(start=0, end=1, padding=0, **special),
        max_source_tokens=64,
        max_target_tokens=30,
        decoding=Decoding(strategy=strategy, options=options, max_new_tokens=20, batch_size=4),
    )


def test_every_option_of_the_strategies_that_search_is_understood() -> None:
    """All that the kit's greedy and beam have: none is ignored, none is missing."""
    for name in ("greedy", "beam"):
        options = current_registry().get("decoding", name).load_options()()
        search = search_of(sequence_of(name, options.model_dump()), "here")
        assert {option: getattr(search, option) for option in options.model_dump()} == options.model_dump()
        assert search.width == getattr(options, "width", 1)
        assert search.max_new_tokens == 20
        assert not search.constrained


@pytest.mark.parametrize(
    ("strategy", "options", "expected"),
    [
        ("sampling", {}, "here: decoding.strategy 'sampling' is not among those that run without torch"),
        ("beam", {"widht": 3}, "the option 'widht' of beam is not among those .* did you mean 'width'"),
        ("greedy", {"width": 3}, "the option 'width' of greedy"),
    ],
)
def test_what_cannot_be_decoded_is_refused_by_name(strategy: str, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        search_of(sequence_of(strategy, options), "here")


def test_a_call_changes_what_it_names_within_the_places_of_the_model() -> None:
    options = {"width": 3, "min_new_tokens": 6, "length_penalty": 0.5}
    search = search_of(sequence_of("zoo-decoding/beam", options, forced_eos=1, banned=[[0], [1], [4, 5]]), "here")
    assert search.banned == (0,)  # banning the end would have no output end
    assert search.banned_runs == ((4, 5),)
    assert search.changed(limit=30) == search
    longer = search.changed(limit=30, max_new_tokens=50, width=1, length_penalty=0.0)
    assert (longer.max_new_tokens, longer.width, longer.length_penalty, longer.min_new_tokens) == (30, 1, 0.0, 6)
    assert search.changed(limit=None, max_new_tokens=50).max_new_tokens == 50
    assert search.changed(limit=30, max_new_tokens=4).min_new_tokens == 4
    for wrong in ({"width": 0}, {"max_new_tokens": 0}):
        with pytest.raises(InputError, match="expected at least 1, found 0"):
            search.changed(limit=30, **wrong)
