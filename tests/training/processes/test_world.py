"""What several processes share, without starting any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import prepare
from zoo.training.contracts import Clipped
from zoo.training.data.batching import TokenBatches
from zoo.training.data.collate import Collator
from zoo.training.data.encoding import encode_pairs
from zoo.training.data.loader import Loader, Share
from zoo.training.data.steps import Plan
from zoo.training.processes.launch import train_together
from zoo.training.processes.world import World, joined, launched, refuse_too_few_gpus
from zoo.training.seeds import stream_seed
from zoo.training.watch.monitor import Monitor, NotFiniteError

CPU = torch.device("cpu")


def loaders(spec: Spec, home: DataHome, size: int, count: int, start: int = 0) -> list[list[Share]]:
    """What each of `size` processes takes."""
    prepared = prepare(spec, home)
    pairs = encode_pairs(prepared.tokenizers, prepared.task.examples("train"), 256)
    collate = Collator(pairs, pad_id=0, start_id=0)
    taken = []
    for rank in range(size):
        batches = TokenBatches((pairs.sources.lengths, pairs.targets.lengths), 200, seed=5)
        loader = Loader(pairs, batches, collate, count // size, World(rank, size), plan=Plan(size))
        loader.go_on(start // size, None)
        assert len(loader) == count // size
        taken.append([share for step in loader for share in step.shares])
    return taken


@pytest.mark.parametrize(("size", "start"), [(2, 0), (3, 0), (2, 4)])
def test_processes_share_the_very_micro_batches_of_one_process(
    make_spec: Callable[..., Spec], home: DataHome, size: int, start: int
) -> None:
    (alone,) = loaders(make_spec(), home, 1, 12, start)
    shared = loaders(make_spec(), home, size, 12, start)
    for index, one in enumerate(alone):
        other = shared[index % size][index // size]
        assert torch.equal(other.batch.labels, one.batch.labels)
        assert torch.equal(other.batch.input_ids, one.batch.input_ids)
    assert sum(map(len, shared)) == len(alone) == 12 - start


def test_each_knows_how_many_tokens_all_have(make_spec: Callable[..., Spec], home: DataHome) -> None:
    one, other = loaders(make_spec(), home, 2, 6)
    for mine, theirs in zip(one, other, strict=True):
        assert mine.target_tokens == theirs.target_tokens == mine.batch.target_tokens + theirs.batch.target_tokens
        assert (
            mine.tokens == theirs.tokens == mine.target_tokens + mine.batch.source_tokens + theirs.batch.source_tokens
        )


def test_all_come_to_the_same_end_when_one_share_of_a_loss_is_not_finite() -> None:
    """The sum over processes is what counts, also for the process whose own share is fine."""
    monitor = Monitor(CPU, summed=lambda shares: shares + torch.nan)
    monitor.micro_batch(torch.tensor(1.0), 7)
    with pytest.raises(NotFiniteError, match="the loss of step 1 is nan"):
        monitor.gradients(Clipped(torch.tensor(1.0), torch.tensor(1.0), torch.tensor(False)))


def test_processes_draw_dropout_masks_of_their_own() -> None:
    seeds = {stream_seed(seed, "dropout", rank) for seed in range(10) for rank in range(10)}
    assert len(seeds) == 100
    assert stream_seed(3, "dropout", 0) == stream_seed(3, "dropout")


def test_steps_that_cannot_be_shared_evenly_are_refused_before_anything_is_started(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(**{"training.gradient_accumulation": 3})
    with pytest.raises(InputError, match="gradient_accumulation is 3, set it to a multiple of 2"):
        train_together(spec, tmp_path / "out", 2, home=home)
    assert not (tmp_path / "out").exists()


def test_more_processes_than_gpus_are_refused_unless_the_user_wants_the_cpu(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_too_few_gpus(1)
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refuse_too_few_gpus(2)  # all on the CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    spec = make_spec(**{"training.gradient_accumulation": 2})
    with pytest.raises(InputError, match="2 processes need 2 GPUs, this machine shows 1"):
        train_together(spec, tmp_path / "out", 2, home=home)
    assert not (tmp_path / "out").exists()
    refuse_too_few_gpus(2, present=2)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    refuse_too_few_gpus(2)


def test_a_process_that_no_launcher_started_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")  # some cluster's own variable, without the rest of what torchrun sets
    assert not launched()
    with joined() as world:
        assert (world.rank, world.size, world.first) == (0, 1, True)
        assert world.agreed(lambda: 3) == world.in_turn(lambda: 3) == world.together(lambda: 3) == 3
        assert world.gathered("a") == ["a"]
        assert torch.equal(world.summed(torch.ones(2)), torch.ones(2))
