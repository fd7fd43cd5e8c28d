"""What the deep blocks are for: in 18 + 18 layers gradients reach the bottom, and one step does not throw the model."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from zoo.models import ZooForConditionalGeneration, assemble
from zoo.spec import resolve_model

LAYERS = 18
START = {"deep-norm": "zoo-blocks/deep-norm", "b2t": "zoo-blocks/depth-scaled", "post-norm": None}
SEEDS = (1, 2)
pytestmark = pytest.mark.slow


def _model(block: str, seed: int) -> ZooForConditionalGeneration:
    section = {
        "d_model": 32,
        "heads": 4,
        "encoder": {"layers": LAYERS},
        "decoder": {"layers": LAYERS},
        "position": "zoo-positional/sinusoidal",
        "block": f"zoo-blocks/{block}",
        "normalization": "zoo-blocks/layer-norm",
        "feedforward": {"use": "zoo-blocks/mlp", "width": 64},
        "initialization": START[block],
        "fusion": "zoo-fusion/top",
        "dropout": 0.0,
        "max_positions": 32,
    }
    return assemble(resolve_model(section), 40, seed=seed)


def _states(model: ZooForConditionalGeneration, source: Tensor, target: Tensor) -> Tensor:
    """The decoder's last states ``[B, T, D]``."""
    with torch.no_grad():
        encoded = model.encoder(source).last_hidden_state
        states: Tensor = model.decoder(target, encoder_states=encoded[:, None]).last_hidden_state
    return states


def _norm_of_gradient(module: nn.Module) -> float:
    return torch.cat([weight.grad.flatten() for weight in module.parameters()]).norm().item()


@cache
def _first_step(block: str, seed: int) -> tuple[float, float]:
    """Gradient norm of the decoder's lowest feed-forward layer over its highest; relative change of its output.

    The step is Adam's first, of length 1e-3 in every weight of the layers whose gradient is not zero.
    """
    draw = torch.Generator().manual_seed(0)
    source, target = torch.randint(4, 40, (2, 8, 10), generator=draw)
    model = _model(block, seed)
    before = _states(model, source, target)
    model(source, labels=target).loss.backward()
    feeds = [layer.feedforward for layer in model.decoder.layers]
    kept = _norm_of_gradient(feeds[0]) / _norm_of_gradient(feeds[-1])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".layers." in name:
                weight.sub_(1e-3 * weight.grad.sign())
    after = _states(model, source, target)
    return kept, ((after - before).norm() / before.norm()).item()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_gradient_vanishes_on_its_way_down_post_norm_alone(seed: int) -> None:
    """Takase et al. 2023, section 3: each normalisation on the residual path shrinks it."""
    assert _first_step("post-norm", seed)[0] < 0.05
    for block in ("deep-norm", "b2t"):
        assert 0.5 < _first_step(block, seed)[0] < 2.0, block


@pytest.mark.parametrize("seed", SEEDS)
def test_one_step_moves_the_output_of_post_norm_far_more(seed: int) -> None:
    """Wang et al. 2022, section 4: the model's update is bounded whatever the depth."""
    far = _first_step("post-norm", seed)[1]
    for block in ("deep-norm", "b2t"):
        assert _first_step(block, seed)[1] < far / 2, block
