"""One gradient a thousand times as large, in the midst of training: how long until the loss is what it was?

Each pair of optimizer and clipping trains the same small model on the same batches (tokens to be copied), through the
components that a spec would choose. With ``--benchmark`` a table says how far the held-out loss rises after the spike,
and after how many steps it is back where it stood before; beside each stands the same run without a spike. Without
``--benchmark`` every pair takes a few steps, so that the benchmark cannot rot.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from statistics import mean
from typing import Any

import pytest
import torch

from zoo.models import assemble
from zoo.models.modes import evaluating
from zoo.spec.model_section import ModelSection
from zoo.spec.training_section import TrainingSection
from zoo.training.components import Components
from zoo.training.contracts import LossContext
from zoo.training.data.collate import PairBatch
from zoo.training.losses.loss import micro_batch_objective

SPIKE = 1000.0
VOCABULARY, LENGTH, ROWS = 64, 10, 16
BEFORE, AFTER = 350, 250
"""Steps to the spike, and steps that a model is then given."""
WINDOW = 10
"""Steps that a loss is averaged over: a single one is noisy."""
SMOKE_BEFORE, SMOKE_AFTER = 2, 2

NONE, NORM = "none", {"use": "norm", "max_norm": 1.0}
ADAM = {"lr": 3e-3, "beta2": 0.99, "eps": 1e-6}
PAIRS: dict[str, dict[str, Any]] = {
    f"{name}, {how}": {"optimizer": optimizer, "clipping": clipping, **more}
    for name, optimizer, more in (
        ("adamw", {"use": "adamw", **ADAM}, {}),
        ("adamw + rms", {"use": "adamw", **ADAM}, {"update_clipping": "rms"}),
        ("stable-adamw", {"use": "stable-adamw", **ADAM}, {}),
        ("adafactor, d none", {"use": "adafactor", "lr": 3e-3, "clip_threshold": None}, {}),
        ("adafactor, d 1", {"use": "adafactor", "lr": 3e-3, "clip_threshold": 1.0}, {}),
    )
    for how, clipping in (("no clipping", NONE), ("norm 1", NORM))
}


class Run:
    """A model with its optimizer, on batches that the step decides."""

    def __init__(self, chosen: dict[str, Any], steps: int) -> None:
        section = ModelSection.model_validate(
            {
                "d_model": 32,
                "heads": 2,
                "encoder": {"layers": 1},
                "decoder": {"layers": 1},
                "position": "zoo-positional/sinusoidal",
                "block": "zoo-blocks/pre-norm",
                "normalization": "zoo-blocks/layer-norm",
                "feedforward": {"use": "zoo-blocks/mlp", "activation": "zoo-blocks/relu", "width": 64},
                "fusion": "zoo-fusion/top",
                "dropout": 0.0,
            }
        )
        training = TrainingSection.model_validate(
            {
                "steps": steps,
                "objective": "zoo-objectives/cross-entropy",
                "schedule": {"use": "constant", "warmup": 20},
                **chosen,
            }
        )
        model: Any = assemble(section, VOCABULARY, seed=1)
        self.model = model.train()
        self.parts = Components.build(training, self.model)
        self.chosen, self.steps = chosen, steps
        self.held_out = batch(-1, rows=64)

    def copy(self) -> Run:
        """Another one that goes on from here, as from a checkpoint."""
        other = Run(self.chosen, self.steps)
        other.model.load_state_dict(self.model.state_dict())
        other.parts.load_state(deepcopy(self.parts.state()))
        return other

    def step(self, number: int, factor: float = 1.0) -> None:
        """Optimizer step `number`, whose gradients are `factor` times what they are."""
        given = batch(number)
        self.parts.optimizer.zero_grad(set_to_none=True)
        loss = self.objective(given, number)
        (factor * loss / given.target_tokens).backward()  # type: ignore[no-untyped-call]
        self.parts.clip()
        self.parts.optimizer.step()
        self.parts.scheduler.step()

    def loss(self) -> float:
        """Per token, on held-out sequences."""
        with evaluating(self.model):
            return self.objective(self.held_out, 0).item() / self.held_out.target_tokens

    def objective(self, given: PairBatch, step: int) -> torch.Tensor:
        return micro_batch_objective(
            self.parts.objective,
            self.model,
            given,
            LossContext(step=step, total_steps=self.steps),
            device=torch.device("cpu"),
            precision=torch.float32,
        )


def batch(number: int, rows: int = ROWS) -> PairBatch:
    """Sequences to be copied: those of the step of that number, for every run the same."""
    draw = torch.Generator().manual_seed(1000 + number)
    ids = torch.randint(4, VOCABULARY, (rows, LENGTH), generator=draw)  # [B, L]
    begun = torch.cat([torch.full((rows, 1), 2), ids[:, :-1]], dim=1)  # [B, L]
    return PairBatch(
        input_ids=ids,
        attention_mask=None,
        decoder_input_ids=begun,
        labels=ids,
        real=None,
        target_tokens=ids.numel(),
        source_tokens=ids.numel(),
    )


@dataclass(frozen=True)
class Recovery:
    """What a spike did to the held-out loss."""

    before: float
    """The mean of the last WINDOW steps before it."""
    highest: float
    """The highest afterwards."""
    steps: int | None
    """Steps after the spike until the loss, once it has been highest, is no higher than before; None: never again."""
    last: float
    """The mean of the last WINDOW steps."""
    last_without: float
    """The same of the run that was not spiked."""


def recovery(chosen: dict[str, Any], before: int, after: int) -> Recovery:
    run, stood = Run(chosen, before + after), []
    for number in range(before):
        run.step(number)
        if number >= before - WINDOW:
            stood.append(run.loss())
    control, without, losses = run.copy(), [], []
    for number in range(before, before + after):
        run.step(number, SPIKE if number == before else 1.0)
        losses.append(run.loss())
        control.step(number)
        if number >= before + after - WINDOW:
            without.append(control.loss())
    level, top = mean(stood), max(losses)
    back = (place for place in range(losses.index(top), after) if losses[place] <= level)
    return Recovery(level, top, 0 if top <= level else next(back, None), mean(losses[-WINDOW:]), mean(without))


def test_a_spike_in_the_gradient(request: pytest.FixtureRequest, one_thread: None, say: Callable[[str], None]) -> None:
    measuring = request.config.getoption("--benchmark", False)
    before, after = (BEFORE, AFTER) if measuring else (SMOKE_BEFORE, SMOKE_AFTER)
    found = {name: recovery(chosen, before, after) for name, chosen in PAIRS.items()}
    for name, item in found.items():
        assert math.isfinite(item.highest), name
        assert math.isfinite(item.last), name
    if not measuring:
        return
    lines = [
        f"{'optimizer, clipping':<32}{'before':>8}{'highest':>9}{'back after':>12}{'at the end':>12}{'unspiked':>10}",
        *(
            f"{name:<32}{item.before:>8.3f}{item.highest:>9.3f}"
            f"{f'> {AFTER}' if item.steps is None else item.steps:>12}{item.last:>12.3f}{item.last_without:>10.3f}"
            for name, item in found.items()
        ),
    ]
    say("\n".join(lines))
    # The stress is one: unbounded, AdamW is thrown far off. A bound on the gradients' norm takes the spike away.
    free, bounded = found["adamw, no clipping"], found["adamw, norm 1"]
    assert free.highest - free.before > 1
    assert bounded.highest - bounded.before < 0.5
