"""What the host tells an objective: which text a token belongs to, several passes; and that each objective trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.models import assemble
from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train
from zoo.training.data.batching import MicroBatch
from zoo.training.data.collate import Collator
from zoo.training.data.layouts import layout_of
from zoo.training.data.ragged import EncodedPairs, Ragged, offsets_of
from zoo.training.data.sequences import SequenceCollator
from zoo.training.losses.loss import real_logits

SOURCES = [[7, 8, 9, 1], [1], [10, 1], [11, 12, 1]]
TARGETS = [[20, 1], [21, 22, 1], [1], [23, 24, 25, 1]]


@pytest.fixture
def pairs() -> EncodedPairs:
    def ragged(rows: list[list[int]]) -> Ragged:
        return Ragged(
            np.concatenate([np.array(row, np.int32) for row in rows]), offsets_of(np.array([*map(len, rows)]))
        )

    return EncodedPairs(ragged(SOURCES), ragged(TARGETS), 0)


def texts_of(batch: Any) -> list[list[int]]:
    """The predicted tokens, put together by the numbers of their texts."""
    assert batch.examples is not None
    found: dict[int, list[int]] = {}
    for number, token in zip(batch.examples.tolist(), batch.targets().tolist(), strict=True):
        found.setdefault(number, []).append(token)
    assert batch.examples.tolist() == [number for number, text in found.items() for _ in text], "side by side"
    return list(found.values())


@pytest.mark.parametrize("rows", [None, np.array([0, 3, 4])], ids=["padded", "packed"])
def test_a_batch_says_which_text_each_predicted_token_belongs_to(pairs: EncodedPairs, rows: Any) -> None:
    order = np.array([2, 0, 1, 3])
    targets = [TARGETS[index] for index in order]
    chosen = MicroBatch(order, rows)
    assert texts_of(Collator(pairs, pad_id=0, start_id=0)(chosen)) == targets
    for prefix in (False, True):
        assert texts_of(SequenceCollator(pairs, pad_id=0, separator=2, prefix=prefix)(chosen)) == targets


def test_a_source_that_is_learned_is_a_text_of_its_own(pairs: EncodedPairs) -> None:
    """Of the source the first token is not predicted, and its end is the separator."""
    batch = SequenceCollator(pairs, pad_id=0, separator=2, source_loss=True)(np.array([0, 1, 3]))
    assert texts_of(batch) == [[8, 9, 2], [20, 1], [21, 22, 1], [12, 2], [23, 24, 25, 1]]


LANGUAGE_MODEL = {"model.architecture": "prefix-lm", "model.encoder": None, "model.fusion": None}


@pytest.mark.parametrize("changes", [{}, LANGUAGE_MODEL], ids=["encoder-decoder", "prefix-lm"])
@pytest.mark.parametrize("rows", [None, np.array([0, 3, 4])], ids=["padded", "packed"])
def test_passes_are_of_the_same_tokens_and_differ_by_dropout_alone(
    make_spec: Callable[..., Spec], pairs: EncodedPairs, changes: dict[str, Any], rows: Any
) -> None:
    model = assemble(make_spec(**{"model.dropout": 0.2}, **changes).model, 40, seed=1)
    batch = layout_of(model).collator(pairs, model.config)(MicroBatch(np.arange(4), rows))
    with torch.no_grad():
        model.eval()
        alone, both = (real_logits(model, batch, passes=passes, use_cache=False) for passes in (1, 2))
        torch.manual_seed(0)
        first, second = real_logits(model.train(), batch, passes=2, use_cache=False)
    assert both.shape == (2, *alone.shape) == (2, batch.target_tokens, 40)
    torch.testing.assert_close(both, torch.stack((alone, alone)))
    assert not torch.allclose(first, second, atol=0.1)


OBJECTIVES: dict[str, dict[str, Any]] = {
    "ent by fraction": {"training.objective": {"use": "ent", "fraction": 0.1, "of": "label-smoothing"}},
    "r-drop by chunks": {"training.objective": {"use": "r-drop", "alpha": 1.0}, "training.logits_chunk": 16},
    "unlikelihood in packed rows": {"training.objective": "unlikelihood", "training.packing": True},
    "unlikelihood in a language model": {
        "training.objective": {"use": "unlikelihood", "alpha": 0.5, "of": "r-drop"},
        "training.packing": True,
        **LANGUAGE_MODEL,
    },
    "z-loss": {"training.objective": {"use": "z-loss", "weight": 1.0}},
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_trains_and_the_development_loss_stays_cross_entropy(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, name: str
) -> None:
    spec = make_spec(**{"training.steps": 9, "training.log_every": 3, "training.evaluate_every": 9}, **OBJECTIVES[name])
    outcome = train(spec, tmp_path / "run", home=home)
    assert (outcome.status, outcome.error) == ("ok", None)
    losses = [point.loss for point in outcome.curve if point.loss is not None]
    assert losses[-1] < losses[0]
    (dev,) = [point.dev_loss for point in outcome.curve if point.dev_loss is not None]
    # Near that of a uniform guess, about which a z-loss of weight 1 is five times as large.
    assert 0.5 < dev / np.log(160) < 1.5
    if name == "z-loss":
        assert losses[-1] > 3 * dev
