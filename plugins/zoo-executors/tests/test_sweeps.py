"""Sweeps on real executors, killed where it hurts."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.once, pytest.mark.timeout(900)]

OVERFLOWS = 1e30
"""A learning rate at which the second step's loss is not finite: a cell that ends early, with a result."""


def assert_every_cell_is_done_once(sweep: Any, cells: int) -> None:
    models = Counter(record.cell for record in sweep.results() if record.role == "model")
    assert len(models) == cells
    assert set(models.values()) == {1}
    controls = [record.name for record in sweep.results() if record.role == "baseline"]
    assert sorted(controls) == ["copy", "untrained"]
    assert not sweep.store.read().problems


def finish(sweep: Any) -> str:
    """Run the sweep to its end; returns what it said."""
    driver = sweep.start()
    out, err = driver.communicate(timeout=500)
    # 1: some cells have results that are failures, as they should.
    assert driver.returncode == 1, err
    assert "not run" not in err
    assert "Traceback" not in err
    return out


@pytest.mark.soak
def test_twelve_cells_on_ray_survive_the_death_of_a_worker_and_of_the_driver(
    make_sweep: Callable[..., Any],
) -> None:
    sweep = make_sweep("--executor", "ray", "--workers", "2")
    cells = sweep.write({"training.optimizer.lr": [3e-3, *(n * OVERFLOWS for n in range(1, 12))]})
    assert cells == 12
    driver = sweep.start(ZOO_TEST_SLOWNESS="0.5")
    sweep.eventually(lambda: sweep.begun() and sweep.cells_at_work(), 200, driver)
    victim = psutil.Process(sweep.cells_at_work()[0]).parent()
    assert victim is not None
    assert victim.cmdline()[0].startswith("ray::")
    victim.kill()
    sweep.eventually(lambda: len(sweep.results()) >= 5 and sweep.cells_at_work(), 300, driver)
    assert driver.poll() is None
    before = sweep.results()
    counted = sweep.begun()
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    sweep.eventually(lambda: not sweep.processes(), 120)

    finish(sweep)
    assert_every_cell_is_done_once(sweep, cells)
    assert all(record in sweep.results() for record in before)
    # A cell whose worker or driver was killed goes on, which shows as a second beginning; no other begins twice.
    trained = sweep.begun()
    assert len(trained) == cells
    assert trained.total() <= cells + 1 + 2
    for record in before:
        if record.role == "model":
            rate = record.spec["training"]["optimizer"]["lr"]
            assert trained[f"{record.seed} {rate:g}"] == counted[f"{record.seed} {rate:g}"]
    sweep.eventually(lambda: not sweep.processes(), 120)
    assert "recorded before" in finish(sweep)
    assert sweep.begun() == trained


def test_cells_run_here_survive_the_death_of_a_cell_and_of_the_driver(make_sweep: Callable[..., Any]) -> None:
    sweep = make_sweep("--workers", "2")
    cells = sweep.write({"training.optimizer.lr": [3e-3, OVERFLOWS, 2 * OVERFLOWS]})
    driver = sweep.start(ZOO_TEST_SLOWNESS="0.3")
    sweep.eventually(sweep.begun, 120, driver)
    os.kill(sweep.cells_at_work()[0], signal.SIGKILL)
    sweep.eventually(lambda: any(r.status == "infra" for r in sweep.store.read().records), 60, driver)
    sweep.eventually(lambda: len(sweep.begun()) >= 2 and sweep.cells_at_work(), 120, driver)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    sweep.eventually(lambda: not sweep.processes(), 30)

    finish(sweep)
    assert_every_cell_is_done_once(sweep, cells)
    assert sweep.begun().total() <= cells + 1 + 2
    assert not sweep.processes()


def test_a_sweep_that_is_interrupted_leaves_nothing_at_work(make_sweep: Callable[..., Any]) -> None:
    sweep = make_sweep("--workers", "2")
    sweep.write({"seed": [1, 2]})
    # Tests that a shell runs in the background ignore interrupts, and so would a process that they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        driver = sweep.start(ZOO_TEST_SLOWNESS="10")
    finally:
        signal.signal(signal.SIGINT, before)
    sweep.eventually(sweep.cells_at_work, 120, driver)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(120) == 130
    sweep.eventually(lambda: not sweep.processes(), 5)
    assert driver.stderr is not None
    assert driver.stderr.read().splitlines()[-1] == "zoo: interrupted"
