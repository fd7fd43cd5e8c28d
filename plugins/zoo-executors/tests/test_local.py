"""What the suite of executors cannot see of `local`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from zoo_executors.local import Local, gpus_of
from zoo_executors.options import LocalOptions

from zoo.bench.executor import CellJob, Settings
from zoo.bench.run import Runner
from zoo.spec import load_spec

SMOKE = Path(__file__).parents[3] / "benchmarks" / "specs" / "smoke.yaml"


@pytest.mark.parametrize(
    ("wanted", "present", "expected"),
    [
        (1, 0, [(), (), ()]),
        (1, 2, [(0,), (1,), (0,)]),
        (2, 4, [(0, 1), (2, 3), (0, 1)]),
        (2, 3, [(0, 1), (0, 2), (1, 2)]),
        (4, 2, [(0, 1), (0, 1), (0, 1)]),
    ],
)
def test_workers_take_turns_on_the_gpus(wanted: int, present: int, expected: list[tuple[int, ...]]) -> None:
    assert [gpus_of(worker, wanted, present) for worker in range(3)] == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mistake_in_a_plugins_code_costs_its_row_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    prepared = Runner._cell

    def breaks(runner: Runner, spec: Any) -> Any:
        if spec.seed == 2:
            raise TypeError("a plugin's\nmistake")
        return prepared(runner, spec)

    monkeypatch.setattr(Runner, "_cell", breaks)
    settings = Settings(store=tmp_path / "records", home=tmp_path / "home", work=tmp_path / "work", timeout=0.01)
    jobs = [CellJob(load_spec(SMOKE, [f"seed={seed}"])) for seed in (1, 2, 3)]
    ended = {done.job.spec.seed: done for done in Local(LocalOptions(workers=workers)).run(jobs, settings)}
    assert str(ended[2].error) == "unexpected TypeError: a plugin's mistake"
    assert isinstance(ended[2].error.__cause__, TypeError)
    assert [ended[seed].result.record.status for seed in (1, 3)] == ["timeout", "timeout"]
