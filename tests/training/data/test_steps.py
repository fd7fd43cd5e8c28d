"""Steps of a number of micro-batches, and steps of a number of tokens."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.data.batching import MicroBatch, TokenBatches
from zoo.training.data.collate import Collator
from zoo.training.data.loader import Loader, Step
from zoo.training.data.ragged import EncodedPairs, Ragged, offsets_of
from zoo.training.data.steps import Plan
from zoo.training.processes.world import World
from zoo.training.trainer import ZooTrainer

LENGTHS = np.random.default_rng(0).integers(1, 9, size=(2, 70))


def pairs() -> EncodedPairs:
    sides = [Ragged(np.full(side.sum(), 5, np.int32), offsets_of(side)) for side in LENGTHS]
    return EncodedPairs(*sides, dropped=0)


def loader(plan: Plan, steps: int, world: World | None = None) -> Loader:
    data = pairs()
    batches = TokenBatches((data.sources.lengths, data.targets.lengths), 24, seed=3)
    return Loader(data, batches, Collator(data, pad_id=0, start_id=0), steps, world, plan=plan)


def taken(step: Step) -> list[list[int]]:
    return [share.examples.indices.tolist() for share in step.shares if share.counts]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 40))
def test_a_step_ends_with_the_micro_batch_that_brings_its_tokens(sizes: list[int], tokens: int) -> None:
    """In order, none left out or taken twice; without its last micro-batch no step would have enough."""
    stream = [MicroBatch(np.arange(size)) for size in sizes]
    steps = list(itertools.islice(Plan(tokens=tokens).cut(itertools.cycle(stream), len), 12))
    assert [id(part) for step in steps for part in step] == [
        id(part) for part in itertools.islice(itertools.cycle(stream), sum(map(len, steps)))
    ]
    for step in steps:
        assert sum(map(len, step)) >= tokens > sum(map(len, step[:-1]))


@pytest.mark.parametrize("plan", [Plan(3), Plan(tokens=50)], ids=["micro-batches", "tokens"])
def test_a_run_that_goes_on_has_the_steps_that_were_to_come(plan: Plan) -> None:
    """From every step on, over the ends of epochs."""
    whole = list(loader(plan, 30))
    assert len(whole) == 30
    assert whole[-1].end > 2 * len(TokenBatches(LENGTHS, 24, seed=3).epoch(0))
    for number in range(30):
        rest = loader(plan, 30)
        rest.go_on(number, whole[number - 1].end if number else 0)
        steps = list(rest)
        assert [taken(step) for step in steps] == [taken(step) for step in whole[number:]]
        assert [(step.end, step.target_tokens) for step in steps] == [
            (step.end, step.target_tokens) for step in whole[number:]
        ]


def test_a_steps_tokens_are_the_target_tokens_of_its_examples() -> None:
    for step in loader(Plan(tokens=50), 30):
        counted = sum(int(LENGTHS[1][share.examples.indices].sum()) for share in step.shares)
        assert step.target_tokens == counted >= 50


@pytest.mark.parametrize("size", [2, 3, 7])
def test_processes_share_the_steps_of_one_whatever_their_number(size: int) -> None:
    """Those without a micro-batch repeat another's that does not count; all have as many and say the same of a step."""
    alone = list(loader(Plan(tokens=50), 20))
    shared = [list(loader(Plan(tokens=50), 20, World(rank, size))) for rank in range(size)]
    idle = 0
    for one, *parts in zip(alone, *shared, strict=True):
        assert {(part.target_tokens, part.end, len(part.shares)) for part in parts} == {
            (one.target_tokens, one.end, -(-len(one.shares) // size))
        }
        rounds = zip(*(part.shares for part in parts), strict=True)
        counting = [share.examples.indices.tolist() for group in rounds for share in group if share.counts]
        assert counting == taken(one)
        assert sum(part.shares[0].tokens for part in parts[:1]) <= sum(share.tokens for share in one.shares)
        idle += sum(not share.counts for part in parts for share in part.shares)
    assert idle


def test_a_step_measured_twice_is_refused(make_spec: Callable[..., Spec]) -> None:
    with pytest.raises(InputError, match=r"training\.step_tokens.*leave one out"):
        make_spec(**{"training.step_tokens": 500, "training.gradient_accumulation": 2})


def test_a_share_that_does_not_count_leaves_gradients_alone(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step trained with its last micro-batch once more, without weight: the weights are the same."""
    spec = make_spec(**{"training.step_tokens": 250, "training.steps": 4, "model.dropout": 0.0})
    train(spec, tmp_path / "plain", home=home)
    original = ZooTrainer.training_step
    lengths = []

    def longer(self: Any, model: Any, inputs: Step, items: Any) -> Any:
        lengths.append(len(inputs.shares))
        idle = replace(inputs.shares[-1], counts=False)
        return original(self, model, replace(inputs, shares=(*inputs.shares, idle)), items)

    monkeypatch.setattr(ZooTrainer, "training_step", longer)
    train(spec, tmp_path / "longer", home=home)
    assert len(set(lengths)) > 1, "all steps have as many micro-batches: nothing is shown of those that differ"
    plain, other = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "longer"))
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_a_resumed_run_with_steps_of_tokens_has_the_weights_of_an_uninterrupted_one(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = make_spec(**{"training.step_tokens": 250, "training.steps": 8, "training.save_every": 3})
    train(spec, tmp_path / "whole", home=home)
    original = ZooTrainer.training_step

    class Died(BaseException):
        pass

    def dying(self: Any, *args: Any) -> Any:
        if self.state.global_step == 4:
            raise Died
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ZooTrainer, "training_step", dying)
        with pytest.raises(Died):
            train(spec, tmp_path / "cut", home=home)
    train(spec, tmp_path / "cut", resume=True, home=home)
    whole, cut = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
