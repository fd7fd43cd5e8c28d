"""Token-budget batches: what must hold for any lengths."""

from __future__ import annotations

from itertools import islice

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.training.data.batching import TokenBatches

lengths = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=80)


def batches_of(pairs: list[tuple[int, int]], budget: int, seed: int = 1) -> TokenBatches:
    sources, targets = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    return TokenBatches((sources, targets), budget, seed)


@settings(deadline=None)
@given(lengths, st.integers(1, 300), st.integers(0, 3))
def test_every_epoch_holds_every_example_exactly_once(pairs: list[tuple[int, int]], budget: int, epoch: int) -> None:
    batches = batches_of(pairs, budget).epoch(epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(pairs)))


@settings(deadline=None)
@given(lengths, st.integers(1, 300))
def test_padded_tokens_stay_within_the_budget_unless_one_example_exceeds_it(
    pairs: list[tuple[int, int]], budget: int
) -> None:
    for batch in batches_of(pairs, budget).epoch(0):
        padded = len(batch) * max(max(pairs[index]) for index in batch)
        assert padded <= budget or len(batch) == 1


@settings(deadline=None, max_examples=25)
@given(lengths, st.integers(1, 300), st.integers(0, 2**63 - 1))
def test_seed_and_epoch_decide_the_order(pairs: list[tuple[int, int]], budget: int, seed: int) -> None:
    one, other = (batches_of(pairs, budget, seed).epoch(5) for _ in range(2))
    assert [batch.tolist() for batch in one] == [batch.tolist() for batch in other]


def test_another_epoch_and_another_seed_give_another_order() -> None:
    pairs = [(5 + index % 7, 5 + index % 5) for index in range(200)]
    orders = [
        tuple(np.concatenate(batches_of(pairs, 60, seed).epoch(epoch)).tolist())
        for seed, epoch in ((1, 0), (1, 1), (2, 0))
    ]
    assert len(set(orders)) == 3


def test_batches_come_in_random_order_of_length() -> None:
    pairs = [(length, length) for length in range(1, 60) for _ in range(5)]
    longest = [max(max(pairs[index]) for index in batch) for batch in batches_of(pairs, 120).epoch(0)]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


def test_little_is_padded_where_lengths_differ_widely() -> None:
    generator = np.random.default_rng(0)
    sources = generator.integers(1, 100, 5000)
    targets = np.clip(sources + generator.integers(-3, 4, 5000), 1, None)
    batches = TokenBatches((sources, targets), 2000, 1).epoch(0)
    padded = sum(len(batch) * (sources[batch].max() + targets[batch].max()) for batch in batches)
    assert (sources.sum() + targets.sum()) / padded > 0.9


@settings(deadline=None, max_examples=25)
@given(lengths, st.integers(1, 300), st.integers(0, 100))
def test_a_stream_begun_later_goes_on_as_the_whole_one(pairs: list[tuple[int, int]], budget: int, start: int) -> None:
    batches = batches_of(pairs, budget)
    whole = [batch.indices.tolist() for batch in islice(batches.stream(), start + 10)]
    assert [batch.indices.tolist() for batch in islice(batches.stream(start), 10)] == whole[start:]
