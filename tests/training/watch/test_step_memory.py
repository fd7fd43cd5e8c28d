"""The memory of training's steps: what is held in one counts, what is held between two does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from zoo.measure.memory import begin_peak
from zoo.registry import Registry, hookimpl, use_registry
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import TrainingOutcome, train
from zoo.training.watch import step_memory
from zoo.training.watch.step_memory import StepMemory

MEGABYTE = 2**20
CPU = torch.device("cpu")

can_begin_a_peak = pytest.mark.skipif(not begin_peak(), reason="this system cannot begin a peak anew")


def held(size: int) -> bytearray:
    """A block of which every page is resident."""
    block = bytearray(size)
    block[::4096] = b"x" * len(block[::4096])
    return block


def growth(memory: StepMemory) -> int:
    facts = memory.facts()
    assert facts is not None
    found = facts["peak"] - facts["before"]
    assert isinstance(found, int)
    return found


@can_begin_a_peak
def test_a_block_that_a_callback_holds_in_one_step_raises_the_peak_of_training_by_its_size(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    size = 256 * MEGABYTE
    block: list[bytearray] = []

    class Holder(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 2:
                block.append(held(size))

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            block.clear()

    class Plugin:
        @hookimpl
        def zoo_training_callbacks(self, context: Any) -> list[TrainerCallback]:
            return [Holder()]

    def outcome(name: str) -> TrainingOutcome:
        return train(make_spec(**{"training.steps": 3}), tmp_path / name, home=home)

    def grown(found: TrainingOutcome) -> int:
        assert found.memory is not None
        assert found.memory["kind"] == "rss"
        return int(found.memory["peak"] - found.memory["before"])

    outcome("first")  # what a first run alone loads is in neither
    without = grown(outcome("without"))
    registry = Registry.load()
    registry._found.manager.register(Plugin(), name="holder")
    with use_registry(registry):
        with_block = grown(outcome("with"))
    assert with_block - without == pytest.approx(size, rel=0.02)


@can_begin_a_peak
def test_what_is_held_between_steps_is_in_no_peak() -> None:
    memory = StepMemory(CPU)
    memory.step()
    held(100 * MEGABYTE)
    memory.pause()
    held(300 * MEGABYTE)
    memory.step()
    assert growth(memory) == pytest.approx(100 * MEGABYTE, rel=0.02)


@can_begin_a_peak
def test_what_was_freed_before_the_first_step_hides_nothing() -> None:
    # Blocks below malloc's threshold for maps of their own stay with the process that freed them.
    blocks = [held(64 * 1024) for _ in range(1600)]
    pin = held(64 * 1024)
    blocks.clear()
    memory = StepMemory(CPU)
    memory.give_back()
    memory.step()
    blocks += [held(64 * 1024) for _ in range(1600)]
    assert growth(memory) == pytest.approx(100 * MEGABYTE, rel=0.05)
    del pin


def test_a_resumed_run_keeps_the_larger_peak_and_the_start_of_the_first() -> None:
    first = StepMemory(CPU)
    first.step()
    first.pause()
    state = {**first.state(), "peak": 2**50, "before": 7}
    resumed = StepMemory(CPU)
    resumed.load_state(state)
    resumed.step()
    facts = resumed.facts()
    assert facts is not None
    assert facts["peak"] == 2**50
    assert facts.get("before", 7) == 7


def test_where_a_peak_cannot_begin_anew_the_whole_process_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_memory, "begin_peak", lambda: False)
    memory = StepMemory(CPU)
    memory.step()
    facts = memory.facts()
    assert facts is not None
    assert facts == {"kind": "rss-process", "peak": facts["peak"]}
    assert facts["peak"] > MEGABYTE


def test_without_a_step_nothing_is_told() -> None:
    memory = StepMemory(CPU)
    memory.give_back()
    assert memory.facts() is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_tensors_of_a_step_count_and_those_of_an_evaluation_do_not() -> None:
    device = torch.device("cuda", 0)
    kept = torch.empty(16 * MEGABYTE, dtype=torch.uint8, device=device)
    memory = StepMemory(device)
    memory.step()
    torch.empty(64 * MEGABYTE, dtype=torch.uint8, device=device)
    memory.pause()
    torch.empty(256 * MEGABYTE, dtype=torch.uint8, device=device)
    memory.step()
    assert growth(memory) == pytest.approx(64 * MEGABYTE, rel=0.01)
    facts = memory.facts()
    assert facts is not None
    assert facts["kind"] == "cuda-allocated"
    assert facts["reserved"] >= 256 * MEGABYTE
    del kept
