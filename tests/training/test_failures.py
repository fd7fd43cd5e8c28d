"""A run that fails names the micro-batch that it failed on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import train, trainer
from zoo.training.data.batching import MicroBatch, TokenBatches
from zoo.training.trainer import ZooTrainer
from zoo.training.watch.suspects import MOST_EXAMPLES, described, in_words, remedy
from zoo.training.weights import checkpoints

GREEDY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")


class Sabotage:
    """Lets the forward pass number `call` (from 0) fail as `how` says, and keeps what it was given."""

    def __init__(self, patch: pytest.MonkeyPatch, call: int, how: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.batch: Any = None
        self.trainer: Any = None
        step = ZooTrainer.micro_step
        calls = iter(range(10**6))

        def failing(model: Any, inputs: Any, output: Any) -> Any:
            output.logits = how(output.logits)
            return output

        def watched(this: Any, model: Any, inputs: Any, items: Any) -> Any:
            if next(calls) != call:
                return step(this, model, inputs, items)
            self.trainer, self.batch = this, inputs.batch
            handle = this.model.register_forward_hook(failing)
            try:
                return step(this, model, inputs, items)
            finally:
                handle.remove()

        patch.setattr(ZooTrainer, "micro_step", watched)

    def assert_told(self, told: dict[str, Any]) -> None:
        """That `told` is of the batch that failed: its shape, and its examples in their order."""
        assert (told["rows"], told["source_length"]) == tuple(self.batch.input_ids.shape)
        assert (told["rows"], told["target_length"]) == tuple(self.batch.labels.shape)
        assert told["tokens"] == self.batch.source_tokens + self.batch.target_tokens
        sources = self.trainer._loader.dataset.sources
        for row, index in zip(self.batch.input_ids.tolist(), told["examples"], strict=True):
            tokens = sources[index].tolist()
            assert row[: len(tokens)] == tokens


def _out_of_memory(found: torch.Tensor) -> torch.Tensor:
    raise GREEDY


def test_lack_of_memory_names_the_micro_batch_and_the_setting_to_change(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second micro-batch of the fifth step."""
    sabotage = Sabotage(monkeypatch, 9, _out_of_memory)
    spec = make_spec(**{"training.gradient_accumulation": 2, "training.save_every": 3})
    outcome = train(spec, tmp_path / "out", home=home)
    assert (outcome.status, outcome.steps, outcome.model_step) == ("oom", 4, 3)
    told = outcome.facts["oom_batch"]
    sabotage.assert_told(told)
    assert outcome.error == (
        f"out of memory in step 5, in a micro-batch of {told['rows']} rows (source_length {told['source_length']}, "
        f"target_length {told['target_length']}): CUDA out of memory. Tried to allocate 2 GiB; "
        "lower training.batch_tokens (now 200), or set training.gradient_checkpointing"
    )
    assert [saved.step for saved in checkpoints.complete(tmp_path / "out")] == [3]


def test_lack_of_memory_outside_of_a_micro_batch_blames_none(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*args: Any, **kwargs: Any) -> None:
        raise GREEDY

    monkeypatch.setattr(trainer, "dev_loss", greedy)
    outcome = train(make_spec(**{"training.evaluate_every": 2}), tmp_path / "out", home=home)
    assert outcome.status == "oom"
    assert "oom_batch" not in outcome.facts
    assert outcome.error.startswith("out of memory in step 3: CUDA out of memory. Tried to allocate 2 GiB; lower")


def test_a_loss_that_is_not_finite_names_its_micro_batch_among_those_of_the_step(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage = Sabotage(monkeypatch, 9, lambda found: found * torch.nan)
    spec = make_spec(**{"training.gradient_accumulation": 2, "training.save_every": 3})
    outcome = train(spec, tmp_path / "out", home=home)
    assert (outcome.status, outcome.steps, outcome.model_step) == ("nan", 5, 3)
    (told,) = outcome.facts["nan_batches"]
    sabotage.assert_told(told)
    assert [saved.step for saved in checkpoints.complete(tmp_path / "out")] == [3]


def test_gradients_that_are_not_finite_behind_losses_that_are_name_all_of_the_step(
    make_spec: Callable[..., Spec], home: DataHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poison(found: torch.Tensor) -> torch.Tensor:
        found.register_hook(lambda gradient: gradient * torch.inf)
        return found

    Sabotage(monkeypatch, 4, poison)
    outcome = train(make_spec(**{"training.gradient_accumulation": 2}), tmp_path / "out", home=home)
    assert (outcome.status, outcome.steps, len(outcome.facts["nan_batches"])) == ("nan", 3, 2)
    assert "the gradient norm of step 3 is" in outcome.error


def test_a_packed_micro_batch_is_told_by_its_rows() -> None:
    lengths = np.array([3, 4, 5, 6]), np.array([1, 1, 9, 2])
    packed = MicroBatch(np.array([3, 0, 2]), np.array([0, 2, 3]))  # rows of examples 3 and 0, and of 2
    assert described(packed, TokenBatches(lengths, 99, 1)) == {
        "rows": 2,
        "source_length": 9,
        "target_length": 9,
        "tokens": 14 + 12,
        "examples": [3, 0, 2],
    }
    both = described(MicroBatch(np.array([1])), TokenBatches(lengths[:1], 99, 1))
    assert in_words(both) == "a micro-batch of 1 row (length 4)"
    many = TokenBatches((np.ones(900, np.int64),), 999, 1)
    told = described(MicroBatch(np.arange(900)), many)
    assert (told["rows"], told["tokens"], told["examples"]) == (900, 900, list(range(MOST_EXAMPLES)))


def test_the_setting_to_change_is_one_that_helps(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(**{"training.gradient_checkpointing": True}).training
    assert remedy({"rows": 2}, spec) == remedy(None, spec) == "lower training.batch_tokens (now 200)"
    assert remedy({"rows": 1}, spec) == "lower training.max_tokens (now 256): the row is one alone"
    assert remedy({"rows": 1}, spec, images="model.pixels") == (
        "have model.pixels make smaller images: the row is one alone"
    )
