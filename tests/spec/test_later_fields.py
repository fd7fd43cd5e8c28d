"""A field that came later leaves the hashes of specs from before it alone."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from zoo.spec.options import Options


class Before(Options):
    rate: float = Field(default=0.5, description="Rate")


class After(Before):
    later: ClassVar[frozenset[str]] = frozenset({"extra", "parts"})
    extra: int | None = Field(default=None, description="What earlier versions did not have")
    parts: list[int] = Field(default=[1], description="Neither this")


def test_at_its_default_it_is_not_written() -> None:
    assert After().plain() == Before().plain() == {"rate": 0.5}
    assert After(extra=None, parts=[1]).plain() == {"rate": 0.5}


def test_away_from_its_default_it_is() -> None:
    assert After(extra=0).plain() == {"rate": 0.5, "extra": 0}
    assert After(parts=[]).plain() == {"rate": 0.5, "parts": []}


def test_the_plain_form_reads_back() -> None:
    for options in (After(), After(extra=3), After(parts=[2, 1], rate=0.1)):
        assert After.model_validate(options.plain()) == options
