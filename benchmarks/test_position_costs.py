"""What position schemes cost: a training step beside that of sinusoids, in one run.

With ``--benchmark`` the ratio of each scheme must not lie above its limit beyond noise. Without it a step of a tiny
model of each is made, so that the benchmark cannot rot.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zoo.bench.replay import Replay
from zoo.measure.step_report import Shape, StepCost, step_costs
from zoo.models import assemble
from zoo.spec import load_cells

SPEC = Path(__file__).parent / "specs" / "costs" / "positions.yaml"
REFERENCE = "position=sinusoidal"
ROTARY, BIAS, SHAW_KEYS, SHAW_VALUES = 1.1, 1.2, 1.5, 2.0
LIMITS = {
    "position=rotary": ROTARY,
    "position=alibi": BIAS,
    "position=alibi-shape=asymmetric": BIAS,
    "position=t5": BIAS,
    "position=shaw-values=False": SHAW_KEYS,
    "position=shaw-values=True": SHAW_VALUES,
}
"""Largest allowed time of a training step, in that of sinusoidal positions."""
CLOCK = Replay()


def costs(measuring: bool, *only: str) -> dict[str, StepCost]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sets = [] if measuring else ["model.d_model=32", "model.feedforward.width=48"]
    cells = [cell for cell in load_cells(SPEC, sets) if not only or cell.label in only]
    found = step_costs(
        [
            (cell.label, lambda cell=cell: assemble(cell.spec.model, 4000 if measuring else 40, seed=1))
            for cell in cells
        ],
        Shape() if measuring else Shape(3, 11, 9),
        rounds=21 if measuring else 1,
        device=device,
        layers=[6] * len(cells),
    )
    return {item.label: item for item in found}


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.usefixtures("one_thread")
def test_no_scheme_costs_more_than_its_limit(request: pytest.FixtureRequest, say: Callable[[str], None]) -> None:
    measuring = bool(request.config.getoption("--benchmark", False))
    found = costs(measuring)
    assert set(LIMITS) < set(found)
    if not measuring:
        assert all(item.kernels and item.peak_bytes > 0 for item in found.values())
        return
    reference = found[REFERENCE]
    slow = []
    for label, item in found.items():
        ratio, interval = item.ratio(reference)
        assert interval is not None
        within = f"{ratio:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
        say(f"{label}: {within} of sinusoidal's time, {', '.join(item.kernels)}")
        if interval[0] > LIMITS.get(label, float("inf")):
            slow.append(label)
    assert not slow


def test_a_bias_that_layers_share_is_written_out_once_a_stack() -> None:
    """In the encoder of a padded batch once more, with the padding of each sentence; no layer makes another."""
    (alibi,) = costs(False, "position=alibi").values()
    if alibi.scores_written is not None:  # a compiled kernel hides it, and writes none
        assert alibi.scores_written == pytest.approx(3 / 6)
