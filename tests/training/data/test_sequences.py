"""Source and target in one row: what is read, what is predicted, and how rows are filled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.errors import InputError
from zoo.models import assemble
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import load_run, train
from zoo.training.data.batching import MicroBatch
from zoo.training.data.collate import IGNORED
from zoo.training.data.layouts import layout_of
from zoo.training.data.loader import Loader, batches_for
from zoo.training.data.ragged import EncodedPairs, Ragged, offsets_of
from zoo.training.data.sequences import SequenceCollator, row_lengths
from zoo.training.losses.loss import dev_loss, real_logits

PAD, EOS, SEPARATOR, N = 0, 1, 2, IGNORED
SOURCES = [[7, 8, 9, EOS], [EOS], [10, EOS], [11, 12, EOS]]
TARGETS = [[20, EOS], [21, 22, EOS], [EOS], [23, 24, 25, EOS]]


def ragged(rows: list[list[int]]) -> Ragged:
    return Ragged(np.array(list(chain(*rows)), np.int32), offsets_of(np.array([len(row) for row in rows])))


@pytest.fixture
def pairs() -> EncodedPairs:
    return EncodedPairs(ragged(SOURCES), ragged(TARGETS), 0)


def test_a_batch_is_sequences_shifted_by_one_with_labels_on_the_targets(pairs: EncodedPairs) -> None:
    batch = SequenceCollator(pairs, pad_id=PAD, separator=SEPARATOR, prefix=True)(np.array([0, 1, 2]))
    assert batch.input_ids.tolist() == [
        [7, 8, 9, SEPARATOR, 20],
        [SEPARATOR, 21, 22, PAD, PAD],
        [10, SEPARATOR, PAD, PAD, PAD],
    ]
    assert batch.labels.tolist() == [[N, N, N, 20, EOS], [21, 22, EOS, N, N], [N, EOS, N, N, N]]
    assert batch.prefix_mask is not None
    assert batch.prefix_mask.tolist() == [[1, 1, 1, 0, 0], [0] * 5, [1, 0, 0, 0, 0]]
    assert batch.targets().tolist() == [20, EOS, 21, 22, EOS, EOS]
    assert (batch.target_tokens, batch.source_tokens) == (6, 7)
    assert set(batch.model_inputs()) == {"input_ids", "prefix_mask"}


def test_with_a_source_loss_all_but_the_first_token_are_predicted(pairs: EncodedPairs) -> None:
    collate = SequenceCollator(pairs, pad_id=PAD, separator=SEPARATOR, source_loss=True)
    batch = collate(np.array([0, 1]))
    assert batch.labels.tolist() == [[8, 9, SEPARATOR, 20, EOS], [21, 22, EOS, N, N]]
    assert batch.target_tokens == collate.predicted(np.array([0, 1])) == 8
    whole = collate(np.array([3]))
    assert whole.real is None
    assert whole.targets().tolist() == [12, SEPARATOR, 23, 24, 25, EOS]


def test_packed_rows_number_their_examples(pairs: EncodedPairs) -> None:
    collate = SequenceCollator(pairs, pad_id=PAD, separator=SEPARATOR, prefix=True)
    batch = collate(MicroBatch(np.array([2, 1, 0]), np.array([0, 2, 3])))
    assert batch.input_ids.tolist() == [[10, SEPARATOR, SEPARATOR, 21, 22], [7, 8, 9, SEPARATOR, 20]]
    assert batch.labels.tolist() == [[N, EOS, 21, 22, EOS], [N, N, N, 20, EOS]]
    assert batch.segment_ids is not None
    assert batch.segment_ids.tolist() == [[1, 1, 2, 2, 2], [1] * 5]
    assert batch.prefix_mask is not None
    assert batch.prefix_mask.tolist() == [[1, 0, 0, 0, 0], [1, 1, 1, 0, 0]]


def as_language_model(make_spec: Callable[..., Spec], architecture: str, **changes: object) -> Spec:
    plain = {"model.architecture": architecture, "model.encoder": None, "model.fusion": None}
    return make_spec(**plain, **changes)


@pytest.mark.parametrize("architecture", ["causal-lm", "prefix-lm"])
@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
def test_a_batch_has_the_logits_that_the_skeleton_gives_each_target(
    make_spec: Callable[..., Spec], pairs: EncodedPairs, architecture: str, packing: bool
) -> None:
    model = assemble(as_language_model(make_spec, architecture).model, 40, seed=1).eval()
    layout = layout_of(model)
    collate = layout.collator(pairs, model.config)
    chosen = MicroBatch(np.array([3, 0, 1, 2]), np.array([0, 2, 4]) if packing else None)
    with torch.no_grad():
        found = real_logits(model, collate(chosen), use_cache=False)
        alone = [
            model.target_logits(
                {"input_ids": torch.tensor([SOURCES[i]]), "attention_mask": torch.ones(1, len(SOURCES[i]), dtype=int)},
                torch.tensor([TARGETS[i]]),
            )[0]
            for i in chosen.indices
        ]
    torch.testing.assert_close(found, torch.cat(alone), atol=1e-5, rtol=1e-4)
    device = torch.device("cpu")
    losses = [dev_loss(model, iter([collate(batch)]), device, torch.float32) for batch in (chosen, chosen.indices)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_rows_are_packed_by_the_length_of_both_and_counted_whole(pairs: EncodedPairs) -> None:
    many = EncodedPairs(ragged(SOURCES * 30), ragged(TARGETS * 30), 0)
    collate = SequenceCollator(many, pad_id=PAD, separator=SEPARATOR)
    layout = layout_of(type("Model", (), {"arrangement": "sequence", "reads_prefix": False}))
    shares = {}
    for packing in (False, True):
        batches = batches_for(many, 24, 1, packing=packing, layout=layout)
        seen = np.concatenate([batch.indices for batch in batches.micro_batches(0)])
        assert sorted(seen.tolist()) == list(range(120))
        for step in Loader(many, batches, collate, len(batches.micro_batches(0))):
            (share,) = step.shares
            assert share.batch.input_ids.numel() <= 24
            assert share.target_tokens == share.batch.target_tokens
            assert share.tokens == share.batch.source_tokens + share.batch.target_tokens
        shares[packing] = batches.padding_share()
    assert int(row_lengths(many).max()) == 6
    assert shares[True] < 0.1


@pytest.mark.parametrize(("architecture", "packing"), [("causal-lm", False), ("prefix-lm", True)])
def test_a_language_model_is_trained_and_read_back(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, architecture: str, packing: bool
) -> None:
    changes = {"training.packing": packing, "training.evaluate_every": 6, "training.source_loss": False}
    outcome = train(as_language_model(make_spec, architecture, **changes), tmp_path / "run", home=home)
    assert outcome.status == "ok"
    losses = [point.loss for point in outcome.curve if point.loss is not None]
    assert losses[-1] < losses[0]
    run = load_run(tmp_path / "run")
    assert run.model.section.architecture == architecture
    assert type(run.model).__name__ == "ZooForCausalLM"


@pytest.mark.slow
def test_workers_make_the_same_batches(make_spec: Callable[..., Spec], pairs: EncodedPairs) -> None:
    collate = SequenceCollator(pairs, pad_id=PAD, separator=SEPARATOR, prefix=True)
    layout = layout_of(type("Model", (), {"arrangement": "sequence", "reads_prefix": True}))
    batches = batches_for(pairs, 12, 1, packing=True, layout=layout)
    here, there = (
        [step.shares[0] for step in Loader(pairs, batches, collate, 4, workers=workers)] for workers in (0, 1)
    )
    for a, b in zip(here, there, strict=True):
        assert vars(a.batch).keys() == vars(b.batch).keys()
        theirs = b.batch.model_inputs()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in a.batch.model_inputs().items())


def test_examples_past_the_end_of_the_table_are_refused_before_training(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path
) -> None:
    spec = as_language_model(make_spec, "causal-lm", **{"model.position": "learned", "model.max_positions": 9})
    with pytest.raises(InputError, match=r"together, but the position scheme ends at 9: set .* at most 4"):
        train(spec, tmp_path / "run", home=home)
