"""The loss of a step: real tokens only, one mean over everything that is accumulated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from zoo.spec import Spec
from zoo.tasks import DataHome
from zoo.training import Prepared, prepare
from zoo.training.building import assemble_for
from zoo.training.data.collate import IGNORED, Collator
from zoo.training.data.encoding import encode_pairs
from zoo.training.data.ragged import EncodedPairs
from zoo.training.losses.loss import dev_loss, real_logits
from zoo.training.trainer import Share, Step, ZooTrainer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def prepared(make_spec: Callable[..., Spec], home: DataHome) -> Prepared:
    return prepare(make_spec(), home)


@pytest.fixture(scope="module")
def pairs(prepared: Prepared) -> EncodedPairs:
    return encode_pairs(prepared.tokenizers, prepared.task.examples("train"), 256)


def trainer_for(spec: Spec, prepared: Prepared, pairs: EncodedPairs, folder: Path) -> ZooTrainer:
    return ZooTrainer(assemble_for(spec, prepared), spec, folder, train=pairs, dev=None)


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: item.grad.clone() for name, item in model.named_parameters() if item.grad is not None}


def test_logits_of_real_tokens_are_those_of_the_whole_batch(
    make_spec: Callable[..., Spec], prepared: Prepared, pairs: EncodedPairs
) -> None:
    model = assemble_for(make_spec(), prepared).eval()
    batch = Collator(pairs, pad_id=0, start_id=0)(np.arange(9))
    assert batch.real is not None
    whole = model(**batch.model_inputs(), use_cache=False).logits
    torch.testing.assert_close(real_logits(model, batch, use_cache=False), whole[batch.labels != IGNORED])
    assert model(**batch.model_inputs(), use_cache=False).logits.shape == whole.shape


def test_a_steps_loss_and_gradients_are_torchs_over_all_its_real_tokens(
    make_spec: Callable[..., Spec], prepared: Prepared, pairs: EncodedPairs, tmp_path: Path
) -> None:
    """Accumulated micro-batches of different sizes against torch's cross entropy over all of them in one batch."""
    spec = make_spec(**{"model.dropout": 0.0, "training.gradient_accumulation": 3})
    trainer = trainer_for(spec, prepared, pairs, tmp_path)
    sizes = (np.arange(0, 2), np.arange(2, 9), np.arange(9, 13))
    collate = Collator(pairs, pad_id=0, start_id=0)
    alone = tuple(Share(batch, batch.target_tokens, batch.source_tokens) for batch in map(collate, sizes))
    step = Step(alone, sum(share.target_tokens for share in alone), 3)
    (taken,), tokens = trainer.get_batch_samples(iter([step]), 1, CPU)
    loss = trainer.training_step(trainer.model, taken, tokens)
    accumulated = gradients(trainer.model)
    trainer.model.zero_grad()
    whole = collate(np.arange(13))
    logits = trainer.model(**whole.model_inputs(), use_cache=False).logits
    expected = F.cross_entropy(logits.flatten(0, 1), whole.labels.flatten(), label_smoothing=0.1, ignore_index=IGNORED)
    expected.backward()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=1e-6)
    reference = gradients(trainer.model)
    assert accumulated.keys() == reference.keys()
    for name, gradient in accumulated.items():
        torch.testing.assert_close(gradient, reference[name], rtol=1e-4, atol=1e-6, msg=name)


def test_dev_loss_is_the_cross_entropy_per_token_without_dropout(
    make_spec: Callable[..., Spec], prepared: Prepared, pairs: EncodedPairs
) -> None:
    model = assemble_for(make_spec(**{"model.dropout": 0.5}), prepared).train()
    collate = Collator(pairs, pad_id=0, start_id=0)
    value = dev_loss(model, iter([collate(np.arange(5)), collate(np.arange(5, 20))]), CPU, torch.float32)
    assert model.training
    whole = collate(np.arange(20))
    logits = model.eval()(**whole.model_inputs(), use_cache=False).logits
    expected = F.cross_entropy(logits.flatten(0, 1), whole.labels.flatten(), ignore_index=IGNORED)
    assert value == pytest.approx(expected.item(), rel=1e-5)


def test_gradients_reach_the_optimizer_clipped_by_the_component_and_by_nothing_else(
    make_spec: Callable[..., Spec], prepared: Prepared, pairs: EncodedPairs, tmp_path: Path
) -> None:
    """transformers clips at 1.0 unless it is told not to; these gradients are made larger than that."""
    norms: dict[str, float] = {}
    for name, clipping in (
        ("none", "none"),
        ("loose", {"use": "norm", "max_norm": 1e6}),
        ("tight", {"use": "norm", "max_norm": 0.5}),
    ):
        spec = make_spec(**{"training.clipping": clipping, "training.steps": 1, "training.objective": "cross-entropy"})
        trainer = trainer_for(spec, prepared, pairs, tmp_path / name)
        trainer.training_step = _scaled(trainer.training_step)
        seen: list[float] = []
        trainer.parts.optimizer.register_step_pre_hook(
            lambda optimizer, args, kwargs, seen=seen: seen.append(
                torch.stack([p.grad.norm() for group in optimizer.param_groups for p in group["params"]]).norm().item()
            )
        )
        trainer.train()
        (norms[name],) = seen
        (point,) = [trainer.monitor.point(0.0)]
        assert point.gradient_norm == pytest.approx(norms["none"], rel=1e-5)
        assert point.clipped_fraction == (1.0 if name == "tight" else 0.0)
    assert norms["none"] > 50
    assert norms["loose"] == pytest.approx(norms["none"], rel=1e-5)
    assert norms["tight"] == pytest.approx(0.5, rel=1e-4)


def _scaled(step: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The step with a thousandth of its tokens counted: gradients a thousand times as large."""
    return lambda model, inputs, items: step(model, inputs, items / 1000)
