"""Tiny models of the first-party components, as a probe sees them."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.models import assemble
from zoo.models.contracts import Position, StaticTable, Term
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult
from zoo.probes.harness import measured
from zoo.registry import Component, RegisteredComponent, Registry, current_registry, use_registry
from zoo.registry.discovery import PluginReport, discover
from zoo.spec.model_section import ModelSection
from zoo.spec.options import Chosen
from zoo.tasks import Example
from zoo.testing.surroundings import one_thread
from zoo.testing.tiny_model import tiny_examples, tiny_tokenizers


class CountsAgain(Position):
    """A broken scheme: the bias of a cached step is looked up as if the step were the first token."""

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        distances = torch.arange(-64, 65, device=q_positions.device)  # [N]
        table = distances.abs().mul(-0.5).expand(self.context.heads, -1)  # [H, N]
        moved = q_positions.max() if q_positions.shape[-1] == 1 else 0

        def bucket(i: Tensor, j: Tensor) -> Tensor:
            return (i - moved - j).clamp(-64, 64) + 64

        return (StaticTable(table, bucket),)


def _registry() -> Registry:
    found = discover()
    found.reports.append(PluginReport("zoo-broken", "0", "broken", __name__, status="ok"))
    module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("zoo_broken_positions", None))
    module.CountsAgain = CountsAgain  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    declared = Component(
        kind="position", name="counts-again", target="zoo_broken_positions:CountsAgain", summary="Broken on purpose"
    )
    found.components.append(RegisteredComponent(declared, "zoo-broken", "0"))
    return Registry(found)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread(), use_registry(_registry()):
        yield


@pytest.fixture
def make_model() -> Callable[..., Any]:
    """``make_model("alibi", seed=1, decoder={"layers": 1})``: an untrained model over the kit's tiny vocabulary."""

    def make(position: str = "sinusoidal", *, seed: int = 3, **changes: Any) -> Any:
        plain = {
            "d_model": 32,
            "heads": 4,
            "encoder": {"layers": 2},
            "decoder": {"layers": 2},
            "position": position,
            "block": "post-norm",
            "normalization": "layer-norm",
            "feedforward": {"use": "mlp", "width": 48, "activation": "relu"},
            "fusion": "top",
            "dropout": 0.1,
            "max_positions": 64,
        }
        section = ModelSection.model_validate(plain | changes, context={"registry": current_registry()})
        return assemble(section, len(tiny_tokenizers().source), seed=seed).double()

    return make


@pytest.fixture
def measure() -> Callable[..., ProbeResult]:
    """``measure("shift", model, offset=5)``: what a probe finds on the kit's examples, or those given."""

    def find(
        name: str,
        model: Any,
        examples: Sequence[Example] | None = None,
        outputs: Sequence[str] = (),
        spec: Any = None,
        **options: Any,
    ) -> ProbeResult:
        component = current_registry().get("probe", f"zoo-probes/{name}")
        chosen = Chosen(component, component.load_options().model_validate(options))
        given = tiny_examples() if examples is None else examples
        written = dict(zip((example.id for example in given), outputs, strict=False))

        def write(sample: Sequence[Example]) -> list[str]:
            return [written[example.id] for example in sample]

        probe: Probe = chosen.create()
        probe.accept(model)
        return measured(model, tiny_tokenizers(), chosen, given, max_tokens=64, write=write, spec=spec)

    return find


@pytest.fixture
def context() -> Callable[..., ProbeContext]:
    """``context(model, batch_size=4)``: what `zoo.probes.harness` would hand a probe."""
    from zoo.probes.options import ProbeOptions

    def make(model: Any, **options: Any) -> ProbeContext:
        return ProbeContext(
            model=model.eval(),
            tokenizers=tiny_tokenizers(),
            examples=tiny_examples(),
            options=ProbeOptions(**options),
            max_tokens=64,
            generator=torch.Generator().manual_seed(0),
        )

    return make
