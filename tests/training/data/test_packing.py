"""Packed rows: what must hold for any lengths, and what a packed batch says."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import prepare, train
from zoo.training.building import assemble_for
from zoo.training.data.batching import TokenBatches
from zoo.training.data.collate import IGNORED, Collator
from zoo.training.data.encoding import encode_pairs
from zoo.training.data.loader import batches_for
from zoo.training.data.packing import PackedBatches
from zoo.training.data.ragged import EncodedPairs, Ragged, offsets_of
from zoo.training.losses.loss import real_logits

lengths = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=80)
budgets = st.integers(1, 700)


def packed_of(pairs: list[tuple[int, int]], budget: int, seed: int = 1) -> PackedBatches:
    sources, targets = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    return PackedBatches((sources, targets), budget, seed)


def plain(batches: PackedBatches, epoch: int) -> list[tuple[list[int], list[int]]]:
    return [(batch.indices.tolist(), batch.rows.tolist()) for batch in batches.micro_batches(epoch)]


@settings(deadline=None)
@given(lengths, budgets, st.integers(0, 3))
def test_every_epoch_holds_every_example_exactly_once(pairs: list[tuple[int, int]], budget: int, epoch: int) -> None:
    found = [index for indices, _ in plain(packed_of(pairs, budget), epoch) for index in indices]
    assert sorted(found) == list(range(len(pairs)))


@settings(deadline=None)
@given(lengths, budgets)
def test_rows_and_batches_stay_within_the_budget_unless_one_example_exceeds_it(
    pairs: list[tuple[int, int]], budget: int
) -> None:
    longest = max(max(pair) for pair in pairs)
    for indices, rows in plain(packed_of(pairs, budget), 0):
        assert (rows[0], rows[-1]) == (0, len(indices))
        assert all(begin < end for begin, end in pairwise(rows)), "a row without an example"
        widths = [
            max(sum(pairs[index][side] for index in indices[begin:end]) for side in (0, 1))
            for begin, end in pairwise(rows)
        ]
        assert len(widths) * max(widths) <= max(budget, longest)


@settings(deadline=None, max_examples=25)
@given(lengths, budgets, st.integers(0, 2**63 - 1))
def test_seed_and_epoch_decide_rows_and_order(pairs: list[tuple[int, int]], budget: int, seed: int) -> None:
    assert plain(packed_of(pairs, budget, seed), 5) == plain(packed_of(pairs, budget, seed), 5)


def test_another_epoch_and_another_seed_give_other_rows() -> None:
    pairs = [(5 + index % 7, 5 + index % 5) for index in range(300)]
    orders = [str(plain(packed_of(pairs, 600, seed), epoch)) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    assert len(set(orders)) == 3


@settings(deadline=None, max_examples=25)
@given(lengths, budgets, st.integers(0, 60))
def test_a_stream_begun_later_goes_on_as_the_whole_one(pairs: list[tuple[int, int]], budget: int, start: int) -> None:
    batches = packed_of(pairs, budget)
    whole = [batch.indices.tolist() for batch in islice(batches.stream(), start + 10)]
    assert [batch.indices.tolist() for batch in islice(batches.stream(start), 10)] == whole[start:]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=80), budgets)
def test_what_stands_in_rows_of_its_own_stays_within_the_budget_too(pairs: list[tuple[int, int]], budget: int) -> None:
    """Targets of images: a row for each of the images of packed rows, as wide as the longest."""
    sides = [np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True)]
    batches = PackedBatches(sides, budget, 1, alone=(1,), apart=sides[1])
    found = plain(batches, 0)
    for indices, _ in found:
        assert len(indices) == 1 or len(indices) * sides[1][indices].max() <= budget
    assert sorted(index for indices, _ in found for index in indices) == list(range(len(pairs)))


def test_one_long_target_among_short_ones_leaves_room_for_few_images() -> None:
    """A row of 20 small images would make 20 targets as long as the longest: 20 x 50 tokens, with 200 allowed."""
    sides = (np.full(20, 5), np.array([50] + [2] * 19))
    free, bound = (PackedBatches(sides, 200, 1, alone=(1,), apart=apart).micro_batches(0) for apart in (None, sides[1]))
    assert max(len(batch.indices) for batch in free) == 20
    assert next(len(batch.indices) for batch in bound if 0 in batch.indices) <= 4
    assert {len(batch.indices) for batch in bound if 0 not in batch.indices} == {16}


def test_packed_rows_are_fuller_than_padded_ones() -> None:
    generator = np.random.default_rng(0)
    targets = np.clip(generator.lognormal(2.8, 0.6, 5000), 1, 256).astype(np.int64)
    sources = np.clip(targets * generator.normal(0.85, 0.15, 5000), 1, 256).astype(np.int64)
    packed = PackedBatches((sources, targets), 4096, 1).padding_share()
    assert packed < 0.03
    assert packed < TokenBatches((sources, targets), 4096, 1).padding_share() / 3


def test_the_padding_share_is_that_of_the_batches_tensors() -> None:
    pairs, collate = pairs_of([[5, 6, 7], [8], [9, 9]], [[4], [4, 4], [5, 5, 5]])
    for packing in (False, True):
        batches = batches_for(pairs, 8, 1, packing=packing)
        made = [collate(batch) for batch in batches.micro_batches(0)]
        places = sum(batch.input_ids.numel() + batch.labels.numel() for batch in made)
        real = sum(batch.source_tokens + batch.target_tokens for batch in made)
        assert batches.padding_share() == pytest.approx(1 - real / places)


def pairs_of(sources: list[list[int]], targets: list[list[int]]) -> tuple[EncodedPairs, Collator]:
    sides = [
        Ragged(
            np.concatenate([np.array(row, np.int32) for row in rows]), offsets_of(np.array([len(row) for row in rows]))
        )
        for rows in (sources, targets)
    ]
    pairs = EncodedPairs(sides[0], sides[1], 0)
    return pairs, Collator(pairs, pad_id=0, start_id=99)


tokens = st.lists(st.integers(2, 50), min_size=1, max_size=9)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(tokens, tokens), min_size=1, max_size=20), st.integers(10, 80))
def test_a_packed_batch_says_what_its_examples_say(examples: list[tuple[list[int], list[int]]], budget: int) -> None:
    """Against plain Python: tokens, labels, shifted inputs, segments, places of real tokens."""
    sources, targets = ([example[side] for example in examples] for side in (0, 1))
    pairs, collate = pairs_of(sources, targets)
    for chosen in batches_for(pairs, budget, 1, packing=True).micro_batches(0):
        batch = collate(chosen)
        assert batch.attention_mask is None
        rows = chosen.rows.tolist()
        in_order = []
        for row, (begin, end) in enumerate(pairwise(rows)):
            here = chosen.indices[begin:end].tolist()
            in_order += here
            for side, ids, segments in (
                (sources, batch.input_ids, batch.segment_ids),
                (targets, batch.labels, batch.decoder_segment_ids),
            ):
                real = segments[row] != 0
                assert ids[row][real].tolist() == [item for index in here for item in side[index]]
                assert segments[row][real].tolist() == [n for n, i in enumerate(here, 1) for _ in side[i]]
                assert not real[int(real.sum()) :].any(), "padding stands at the end"
            real = batch.decoder_segment_ids[row] != 0
            shifted = [item for index in here for item in [99, *targets[index][:-1]]]
            assert batch.decoder_input_ids[row][real].tolist() == shifted
            assert (batch.labels[row][~real] == IGNORED).all()
            assert (batch.input_ids[row][batch.segment_ids[row] == 0] == 0).all()
        assert batch.targets().tolist() == [item for index in in_order for item in targets[index]]


def test_a_packed_batch_has_the_logits_of_its_examples_one_by_one(
    make_spec: Callable[..., Spec], home: DataHome
) -> None:
    spec = make_spec(**{"training.packing": True})
    prepared = prepare(spec, home)
    model = assemble_for(spec, prepared).eval()
    pairs = encode_pairs(prepared.tokenizers, prepared.task.examples("train"), 256)
    collate = Collator(pairs, pad_id=0, start_id=0)
    chosen = batches_for(pairs, 300, 1, packing=True).micro_batches(0)[0]
    with torch.no_grad():
        packed = real_logits(model, collate(chosen), use_cache=False)
        alone = [real_logits(model, collate(chosen.indices[[n]]), use_cache=False) for n in range(len(chosen.indices))]
    assert len(alone) > len(chosen)
    torch.testing.assert_close(packed, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_a_packed_run_trains_and_says_how_full_its_rows_were(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    changes = {"training.batch_tokens": 400}
    packed = train(make_spec(**changes, **{"training.packing": True}), tmp_path / "packed", home=home)
    padded = train(make_spec(**changes), tmp_path / "padded", home=home)
    assert packed.status == "ok"
    assert packed.curve[-1].loss < packed.curve[0].loss
    assert 0 <= packed.facts["padding_share"] < padded.facts["padding_share"] < 0.5


def test_a_second_input_is_not_packed() -> None:
    pairs, _ = pairs_of([[5, 6]], [[7]])
    with pytest.raises(InputError, match="training.packing: .* second input cannot be packed"):
        batches_for(EncodedPairs(pairs.sources, pairs.targets, 0, pairs.sources), 100, 1, packing=True)
