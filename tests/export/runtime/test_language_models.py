"""An exported language model, against its model in torch."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.export.folder import ENCODER
from zoo.export.runtime import Translator, load

pytestmark = pytest.mark.slow  # as an export is made


@pytest.fixture(scope="module")
def translator(language_twins: Any) -> Translator:
    assert not (language_twins.export / ENCODER).exists()
    return load(language_twins.export, threads=1)


@pytest.mark.parametrize(
    "changes", [{}, {"width": 1}, {"width": 4, "max_new_tokens": 40}, {"width": 1, "max_new_tokens": 99}], ids=str
)
def test_outputs_are_those_of_torch(
    language_twins: Any, translator: Translator, of_language_model: Any, changes: Any
) -> None:
    """Sources are cut where the target's places begin: elsewhere for each length of target."""
    expected = of_language_model(**changes)
    assert len(set(expected)) > len(expected) / 2
    assert translator.translate(language_twins.sources, **changes) == expected
    assert list(translator.stream(language_twins.sources[:9], **changes)) == expected[:9]


def test_a_longer_target_leaves_the_source_fewer_places_until_it_has_half_of_them(translator: Translator) -> None:
    sequence = translator.sequence
    assert [sequence.source_limit(new) for new in (1, 5, 48, 99)] == [95, 91, 48, 48]
    assert sequence.target_limit(99) == 48
