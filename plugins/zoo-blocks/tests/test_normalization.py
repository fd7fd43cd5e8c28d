"""Normalisations against torch's and Llama's."""

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from zoo_blocks.normalization import LayerNorm, RmsNorm
from zoo_blocks.options import LayerNormOptions, RmsNormOptions

WIDTH = 12


def _x(scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(2, 5, WIDTH, generator=torch.Generator().manual_seed(0))


def _weights(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm_is_that_of_torch(bias: bool) -> None:
    ours, theirs = LayerNorm(LayerNormOptions(eps=1e-3, bias=bias), WIDTH), torch.nn.LayerNorm(WIDTH, 1e-3, bias=bias)
    _weights(ours)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(_x()), theirs(_x()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
def test_rms_norm_is_that_of_torch_and_of_llama(scale: float) -> None:
    ours = RmsNorm(RmsNormOptions(eps=1e-5), WIDTH)
    _weights(ours)
    for theirs in (torch.nn.RMSNorm(WIDTH, eps=1e-5), LlamaRMSNorm(WIDTH, eps=1e-5)):
        theirs.load_state_dict(ours.state_dict())
        torch.testing.assert_close(ours(_x(scale)), theirs(_x(scale)), rtol=1e-5, atol=1e-6)


def test_rms_norm_survives_squares_beyond_float16() -> None:
    """600^2 is more than the largest float16, 65504."""
    x = torch.full((1, WIDTH), 600.0, dtype=torch.float16)
    output = RmsNorm(RmsNormOptions(), WIDTH).half()(x)
    torch.testing.assert_close(output, torch.ones_like(x), rtol=1e-3, atol=0)


def test_a_new_normalisation_gives_unit_scale() -> None:
    layer, rms = LayerNorm(LayerNormOptions(), WIDTH)(_x(9.0)), RmsNorm(RmsNormOptions(), WIDTH)(_x(9.0))
    torch.testing.assert_close(layer.mean(-1), torch.zeros(2, 5), rtol=0, atol=1e-6)
    torch.testing.assert_close(layer.square().mean(-1), torch.ones(2, 5), rtol=0, atol=1e-4)
    torch.testing.assert_close(rms.square().mean(-1), torch.ones(2, 5), rtol=0, atol=1e-4)
