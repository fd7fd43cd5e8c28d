"""What probes say of a model whose scores are log-probabilities that do not sum to one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zoo.probes.batches import teacher_forced
from zoo.probes.harness import measured
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.testing.tiny_model import tiny_examples, tiny_tokenizers


@pytest.fixture
def model(make_model: Any) -> Any:
    fusion = {"use": "zoo-fusion/surface-hard", "decoder_share": 0.3}
    return make_model(output_fusion=fusion, tie_embeddings="none", embedding_std=1.0)


def scalars(model: Any, name: str) -> dict[str, float]:
    component = current_registry().get("probe", f"zoo-probes/{name}")
    chosen = Chosen(component, component.load_options().model_validate({"batch_size": 12}))
    return measured(model, tiny_tokenizers(), chosen, tiny_examples(), max_tokens=64, write=lambda sample: []).scalars


def loss_of(model: Any) -> torch.Tensor:
    batch = teacher_forced(model, tiny_tokenizers(), tiny_examples(), max_tokens=64)
    loss: torch.Tensor = model(**batch.inputs(), labels=batch.labels).loss
    return loss


@torch.no_grad()
def test_losses_are_the_models_own(model: Any) -> None:
    assert scalars(model, "source-swap")["loss"] == pytest.approx(loss_of(model).item(), rel=1e-5)


def test_gradients_are_those_of_the_models_own_loss(model: Any) -> None:
    total = scalars(model, "gradient-norms")["total"]
    loss_of(model).backward()
    squares = sum(float(weight.grad.double().square().sum()) for weight in model.parameters())
    assert total == pytest.approx(squares**0.5, rel=1e-5)
