"""Probes over training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.outcome import read_outcome
from zoo.training.trainer import ZooTrainer

PROBES = [
    {"use": "source-swap", "max_examples": 12},
    {"use": "repetition", "max_examples": 4},
    {"use": "gradient-norms", "max_examples": 4},
]
MakeSpec = Callable[..., Spec]


def probed(make_spec: MakeSpec, **changes: Any) -> Spec:
    given = {
        "evaluation.probes": PROBES,
        "training.probe_every": 4,
        "decoding": {"strategy": "greedy", "max_new_tokens": 4},
    }
    return make_spec(**{**given, **changes})


def test_scalars_stand_in_the_curve_from_the_first_weights_on(
    make_spec: MakeSpec, home: DataHome, tmp_path: Path
) -> None:
    outcome = train(probed(make_spec, **{"training.log_every": 3}), tmp_path / "out", home=home)
    points = {point.step: point.probes for point in outcome.curve if point.probes}
    assert list(points) == [0, 4, 8, 12]
    for scalars in points.values():
        assert {"source-swap.difference", "repetition.reference_rep_1", "gradient-norms.total"} <= set(scalars)
    assert len({scalars["gradient-norms.total"] for scalars in points.values()}) == 4
    # Losses stand at their own steps, and a step that has both has one point.
    assert [point.step for point in outcome.curve] == [0, 3, 4, 6, 8, 9, 12]
    assert [point.step for point in outcome.curve if point.loss is not None] == [3, 6, 9, 12]
    written = read_outcome(tmp_path / "out")
    assert written is not None
    assert written.curve == outcome.curve


def test_probing_changes_no_weight_and_no_loss(make_spec: MakeSpec, home: DataHome, tmp_path: Path) -> None:
    """With dropout, so that a draw too many would show."""
    plain = train(make_spec(), tmp_path / "plain", home=home)
    watched = train(probed(make_spec, **{"training.probe_every": 3}), tmp_path / "watched", home=home)
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "watched"))
    assert all((before[name] == after[name]).all() for name in before)
    losses = [[point.loss for point in run.curve if point.loss is not None] for run in (plain, watched)]
    assert losses[0] == losses[1]


def test_a_resumed_run_has_the_probes_of_an_uninterrupted_one(
    make_spec: MakeSpec, home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = probed(make_spec, **{"training.save_every": 4, "evaluation.probes": PROBES[:1]})
    whole = train(spec, tmp_path / "whole", home=home)
    step = ZooTrainer.training_step

    def fail(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 6:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(ZooTrainer, "training_step", fail)
    with pytest.raises(KeyboardInterrupt):
        train(spec, tmp_path / "broken", home=home)
    monkeypatch.undo()
    resumed = train(spec, tmp_path / "broken", home=home, resume=True)
    assert [(point.step, point.probes) for point in resumed.curve] == [
        (point.step, point.probes) for point in whole.curve
    ]


def test_tensorboard_has_them(make_spec: MakeSpec, home: DataHome, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    outcome = train(probed(make_spec), tmp_path / "out", home=home)
    logs = EventAccumulator(str(tmp_path / "out" / "logs")).Reload()
    told = [(event.step, event.value) for event in logs.Scalars("training/probe/source-swap.loss")]
    expected = [(point.step, point.probes["source-swap.loss"]) for point in outcome.curve if point.probes]
    assert [step for step, _ in told] == [0, 4, 8, 12]
    assert told == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]


def test_a_probe_that_cannot_read_the_model_is_refused_before_a_step(
    make_spec: MakeSpec, home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(
        **{"model.position": "learned", "model.max_positions": 64, "training.max_tokens": 60,
           "evaluation.probes": [{"use": "shift", "offset": 64}]}
    )  # fmt: skip
    with pytest.raises(InputError, match="table of positions ends at 64"):
        train(spec, tmp_path / "out", home=home)
