"""What only a whole model shows of a block: the cache, saving, checkpointing, gradients everywhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.models import ZooForConditionalGeneration, assemble, weights_hash
from zoo.spec import resolve_model

BLOCKS = ("pre-norm", "post-norm", "b2t", "sandwich", "deep-norm")
SOURCE = torch.tensor([[5, 9, 4, 7, 11, 6], [8, 4, 4, 10, 0, 0]])
TARGET = torch.tensor([[0, 9, 4, 7], [0, 4, 10, 5]])
MASK = (SOURCE != 0).long()


@pytest.fixture(params=BLOCKS)
def model(request: pytest.FixtureRequest) -> ZooForConditionalGeneration:
    return _model(f"zoo-blocks/{request.param}")


def _model(block: str, **changes: Any) -> ZooForConditionalGeneration:
    section = {
        "d_model": 24,
        "heads": 6,
        "encoder": {"layers": 3},
        "decoder": {"layers": 2},
        "position": "zoo-positional/rotary",
        "block": block,
        "normalization": "zoo-blocks/rms-norm",
        "feedforward": {"use": "zoo-blocks/glu", "width": 32},
        "initialization": "zoo-blocks/deep-norm",
        "fusion": "zoo-fusion/top",
        "dropout": 0.0,
        "max_positions": 16,
        **changes,
    }
    return assemble(resolve_model(section), 16, seed=3).eval()


@torch.no_grad()
def _logits(model: ZooForConditionalGeneration) -> Tensor:
    logits: Tensor = model(SOURCE, MASK, TARGET, use_cache=False).logits
    return logits


@torch.no_grad()
def test_cached_decoding_gives_the_logits_of_uncached(model: ZooForConditionalGeneration) -> None:
    encoded, cache, steps = model.get_encoder()(SOURCE, MASK), None, []
    for token in TARGET.T:
        output = model(
            encoder_outputs=encoded, attention_mask=MASK, decoder_input_ids=token[:, None], past_key_values=cache
        )
        cache = output.past_key_values
        steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), _logits(model), atol=2e-5, rtol=1e-4)


def test_a_loaded_model_computes_what_the_saved_one_did(model: ZooForConditionalGeneration, tmp_path: Path) -> None:
    with torch.no_grad():  # trained weights: loading must not initialise again
        for weight in model.parameters():
            weight.mul_(1.25)
    model.save_pretrained(tmp_path)
    loaded = ZooForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert weights_hash(loaded) == weights_hash(model)
    assert torch.equal(_logits(loaded), _logits(model))


def test_checkpointing_changes_no_gradient_and_every_parameter_has_one(model: ZooForConditionalGeneration) -> None:
    gradients = []
    for checkpointed in (False, True):
        model.train().zero_grad()
        if checkpointed:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model(SOURCE, MASK, labels=TARGET).loss.backward()
        gradients.append({name: weight.grad.clone() for name, weight in model.named_parameters()})
    for name, gradient in gradients[0].items():
        assert gradient.any(), f"no gradient reaches {name}"
        torch.testing.assert_close(gradients[1][name], gradient, msg=lambda text, name=name: f"{name}: {text}")
