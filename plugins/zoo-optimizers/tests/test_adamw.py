"""AdamW against torch's plain loop, and what weight decay leaves alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from zoo_optimizers.adafactor import Adafactor
from zoo_optimizers.adamw import AdamW
from zoo_optimizers.options import AdafactorOptions, AdamWOptions


def test_ten_steps_agree_with_the_plain_loop_over_tensors() -> None:
    torch.manual_seed(3)
    start = [torch.randn(4, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]
    ours, theirs = ([nn.Parameter(tensor.clone()) for tensor in start] for _ in range(2))
    options = AdamWOptions(lr=0.01, beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.1, no_decay=[])
    optimizer = AdamW(options).create([("weight", ours[0]), ("bias", ours[1])])
    oracle = torch.optim.AdamW(
        theirs, lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, foreach=False, fused=False
    )
    for _ in range(10):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        optimizer.step()
        oracle.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("no_decay", "kept"),
    [
        ([], set()),
        (["vectors"], {"norm.weight", "layer.bias"}),
        (["embeddings"], {"model.shared.weight", "decoder.embed_tokens.weight"}),
        (
            ["vectors", "embeddings"],
            {"norm.weight", "layer.bias", "model.shared.weight", "decoder.embed_tokens.weight"},
        ),
    ],
)
@pytest.mark.parametrize("which", ["adamw", "adafactor"])
def test_only_the_chosen_parameters_escape_weight_decay(which: str, no_decay: list[str], kept: set[str]) -> None:
    """With zero gradients nothing but weight decay moves a parameter: by the factor 1 - lr * decay."""
    shapes = {
        "layer.weight": (3, 3),
        "layer.bias": (3,),
        "norm.weight": (3,),
        "model.shared.weight": (4, 3),
        "decoder.embed_tokens.weight": (4, 3),
    }
    parameters = [(name, nn.Parameter(torch.ones(shape))) for name, shape in shapes.items()]
    settings = {"lr": 0.5, "weight_decay": 0.1, "no_decay": no_decay}
    factory = AdamW(AdamWOptions(**settings)) if which == "adamw" else Adafactor(AdafactorOptions(**settings))
    optimizer = factory.create(parameters)
    for _, parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in parameters:
        expected = 1.0 if name in kept else 1 - 0.5 * 0.1
        torch.testing.assert_close(parameter.detach(), torch.full(shapes[name], expected), msg=name)


def test_on_this_device_one_fused_kernel_is_used() -> None:
    optimizer = AdamW(AdamWOptions()).create([("weight", nn.Parameter(torch.ones(2, 2)))])
    assert all(group["fused"] for group in optimizer.param_groups)
