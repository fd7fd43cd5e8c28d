"""Context encoders of a stranger's: what their options say, whoever declares them."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

from zoo.errors import ZooError
from zoo.models import ZooForConditionalGeneration
from zoo.models.contracts import Context, ContextEncoder
from zoo.registry import Component, current_registry, use_registry
from zoo.spec.context import ContextOptions
from zoo.spec.options import Options
from zoo.testing.plain import plain_model


class Bare(ContextEncoder):
    """Adds the context's first state."""

    def merge(self, states: Tensor, mask: Tensor | None, context: Context | None, backend: str) -> Tensor:
        return states if context is None else context.where_present(states + context.states[:, :1], states)


class Stray(Options):
    """Options that do not say how a context is read."""


def model(options: str | None, **chosen: Any) -> ZooForConditionalGeneration:
    declared = Component(
        "context-encoder", "bare", f"{__name__}:Bare", "Of a test", options and f"{__name__}:{options}"
    )
    with use_registry(current_registry().plus("stranger", "0", __name__, [declared])):
        return plain_model(context_encoder={"use": "stranger/bare", **chosen})


def test_one_that_declares_no_options_has_those_of_its_kind() -> None:
    made = model(None)
    assert made.encoder.context_stack is not None
    assert isinstance(made.encoder.context_encoder.options, ContextOptions)
    assert model(None, share="weights").encoder.context_stack is None


def test_options_that_lack_those_of_the_kind_are_refused() -> None:
    with pytest.raises(ZooError, match=r"'stranger/bare' \(.*:Stray\) must be a subclass of zoo.spec.context:Con"):
        model("Stray")
