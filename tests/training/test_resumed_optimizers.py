"""Every optimizer goes on from a checkpoint as if there had been none, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.errors import ZooError
from zoo.models import assemble
from zoo.registry import current_registry
from zoo.spec import Spec
from zoo.training.components import Components
from zoo.training.weights.statefile import load_state, save_state

BEFORE, AFTER = 3, 3


def _optimizers() -> list[str]:
    return list(current_registry().names("optimizer"))


def _step(parts: Components, number: int) -> None:
    """One step with gradients that `number` decides, as training takes it."""
    generator = torch.Generator().manual_seed(number)
    total = sum((item * torch.randn(item.shape, generator=generator)).sum() for _, item in parts.parameters)
    total.backward()
    parts.clipping.clip(parts.parameters)
    parts.optimizer.step()
    parts.scheduler.step()
    parts.optimizer.zero_grad()


@pytest.mark.parametrize("name", _optimizers())
def test_a_resumed_optimizer_takes_the_very_steps(make_spec: Callable[..., Spec], tmp_path: Path, name: str) -> None:
    """Through files, with a schedule that changes the rate in each step."""
    record = current_registry().get("optimizer", name)
    chosen: dict[str, Any] = {"use": name, **(record.traits.get("example") or {})}
    spec = make_spec(**{"training.optimizer": chosen, "training.clipping": "none"})
    model = assemble(spec.model, 40, seed=1)
    try:
        parts = Components.build(spec.training, model)
    except ZooError as error:
        pytest.skip(str(error))
    for number in range(BEFORE):
        _step(parts, number)
    serving = getattr(parts, "serving", nullcontext)
    with serving():
        saved = {key: value.clone() for key, value in model.state_dict().items()}
        save_state(tmp_path / "state", parts.state())
    for number in range(BEFORE, BEFORE + AFTER):
        _step(parts, number)

    twin = assemble(spec.model, 40, seed=2)
    twin.load_state_dict(saved)
    again = Components.build(spec.training, twin)
    again.load_state(load_state(tmp_path / "state"))
    for number in range(BEFORE, BEFORE + AFTER):
        _step(again, number)
    moved = 0
    for (key, one), (_, other) in zip(parts.parameters, again.parameters, strict=True):
        assert torch.equal(one, other), f"{key} went another way"
        moved += not torch.equal(one, saved[key])
    assert moved, "nothing was moved: nothing is shown"
