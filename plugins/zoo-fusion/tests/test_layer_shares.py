"""The probe of layer shares against its measures sentence by sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from zoo_fusion.measures import layer_shares, omitting

from zoo.models import assemble
from zoo.probes.batches import MeanLoss, teacher_forced
from zoo.probes.contracts import ProbeResult
from zoo.probes.harness import measured
from zoo.registry import current_registry
from zoo.spec.model_section import ModelSection
from zoo.spec.options import Chosen
from zoo.testing import conformance_suites
from zoo.testing.tiny_model import tiny_examples, tiny_tokenizers

globals().update(conformance_suites(kind="probe", distribution="zoo-fusion"))


def make_model(fusion: str, **changes: Any) -> Any:
    plain = {
        "d_model": 32, "heads": 4, "encoder": {"layers": 2}, "decoder": {"layers": 2}, "position": "sinusoidal",
        "block": "post-norm", "normalization": "layer-norm",
        "feedforward": {"use": "mlp", "width": 48, "activation": "relu"}, "fusion": fusion, "max_positions": 64,
    }  # fmt: skip
    section = ModelSection.model_validate(plain | changes, context={"registry": current_registry()})
    return assemble(section, len(tiny_tokenizers().source), seed=3).eval()


def probe(model: Any, **options: Any) -> ProbeResult:
    component = current_registry().get("probe", "zoo-fusion/layer-shares")
    chosen = Chosen(component, component.load_options().model_validate(options))
    chosen.create().accept(model)
    return measured(model, tiny_tokenizers(), chosen, tiny_examples(), max_tokens=64, write=lambda sample: [])


def test_standard_cross_attention_takes_everything_from_the_top() -> None:
    found = probe(make_model("top"))
    assert (found.scalars["embeddings"], found.scalars["top"]) == (0.0, pytest.approx(1.0))
    assert found.series["shares"].lines["decoder layer 2"] == pytest.approx([0.0, 0.0, 1.0])
    # What is not read is not missed.
    assert found.scalars["omission_0"] == found.scalars["omission_1"] == 0.0
    assert found.scalars["omission_2"] != 0.0


@pytest.mark.parametrize("batch_size", [1, 5])
def test_shares_and_losses_are_those_of_the_sentences_alone(batch_size: int) -> None:
    model = make_model("transparent")
    found = probe(model, batch_size=batch_size)
    total, tokens = torch.zeros(2, 3, dtype=torch.float64), 0
    whole, without = MeanLoss(), MeanLoss()
    for example in tiny_examples():
        batch = teacher_forced(model, tiny_tokenizers(), [example], max_tokens=64)
        total += layer_shares(model, batch.inputs()).double() * batch.input_ids.numel()
        tokens += batch.input_ids.numel()
        whole.add(model(**batch.inputs()).logits, batch.labels)
        with omitting(model, 1):
            without.add(model(**batch.inputs()).logits, batch.labels)
    expected = total / tokens
    lines = found.series["shares"].lines
    assert lines["decoder layer 1"] == pytest.approx(expected[0].tolist(), rel=1e-5)
    assert sum(lines["decoder layer 2"]) == pytest.approx(1.0, rel=1e-5)
    assert found.scalars["contextual"] == pytest.approx(1 - float(expected[:, 0].mean()), rel=1e-5)
    assert found.scalars["omission_1"] == pytest.approx(without.value - whole.value, abs=1e-6)
