"""An options model's own description of its options."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.spec import Options
from zoo.spec.describe import OptionRow, option_rows
from zoo.spec.options import NoOptions


class Sampled(Options):
    """Options of every sort."""

    width: int = Field(description="Features")
    rate: float | None = Field(default=None, description="Chance of zero")
    mode: Literal["fast", "exact"] = Field(default="fast", description="How")


def test_each_option_has_its_name_type_default_and_description():
    assert option_rows(Sampled) == [
        OptionRow("width", "integer", True, None, "Features"),
        OptionRow("rate", "number or null", False, None, "Chance of zero"),
        OptionRow("mode", "fast | exact", False, "fast", "How"),
    ]


def test_a_component_without_options_has_no_rows():
    assert option_rows(NoOptions) == []


def test_a_slot_is_named_by_its_kind():
    from zoo.spec.sections import Spec

    types = {row.name: row.type for row in option_rows(Spec)}
    assert types["task"] == "a task"
