"""Update clipping around AdamW against StableAdamW: the paper's algorithm, and a library's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from optimi import StableAdamW
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from zoo_optimizers.clipping_options import RmsUpdateClippingOptions
from zoo_optimizers.update_clipping import RmsUpdateClipping

from zoo.training.clipped_updates import ClippedUpdates

BETAS, EPS, RATE, DECAY = (0.9, 0.97), 1e-6, 0.02, 0.1
IMPLEMENTATIONS = [{"fused": True}, {"foreach": True}, {"foreach": False}]


def start(device: str = "cpu", dtype: torch.dtype = torch.float64) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(2)
    shapes = [(5, 4), (6,), (3, 2, 2)]
    return [nn.Parameter(torch.randn(shape, generator=generator).to(device, dtype)) for shape in shapes]


def adamw(parameters: list[nn.Parameter], **how: Any) -> Optimizer:
    return AdamW(parameters, lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY, **how)


def hosted(optimizer: Optimizer, parameters: list[nn.Parameter], threshold: float = 1.0) -> ClippedUpdates:
    named = [(f"p{place}", parameter) for place, parameter in enumerate(parameters)]
    clipping = RmsUpdateClipping(RmsUpdateClippingOptions(threshold=threshold))
    return ClippedUpdates(clipping, optimizer, named, "exp_avg_sq")


def set_gradients(parameters: list[nn.Parameter], step: int) -> None:
    """Drawn for the step; in step 5 the first tensor's are a thousand times as large."""
    generator = torch.Generator().manual_seed(100 + step)
    for place, parameter in enumerate(parameters):
        gradient = torch.randn(parameter.shape, generator=generator)
        parameter.grad = (gradient * (1000.0 if step == 5 and place == 0 else 1.0)).to(parameter)


@pytest.mark.parametrize("how", IMPLEMENTATIONS, ids=str)
def test_around_adamw_it_is_the_librarys_stableadamw(how: dict[str, Any]) -> None:
    ours, theirs = start(), start()
    optimizer = adamw(ours, **how)
    updates = hosted(optimizer, ours)
    oracle = StableAdamW(theirs, lr=RATE, betas=BETAS, eps=EPS, weight_decay=DECAY, foreach=False, triton=False)
    fractions = []
    for step in range(12):
        for parameters, one in ((ours, optimizer), (theirs, oracle)):
            set_gradients(parameters, step)
            one.step()
        fractions.append(updates.fraction.item())
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)
    assert fractions[5] >= 1 / 3
    assert updates.facts()["clipped_fraction"] == pytest.approx(sum(fractions) / 12)


@pytest.mark.parametrize("threshold", [0.5, 1.0, 2.0])
def test_it_follows_the_papers_algorithm(threshold: float) -> None:
    """Wortsman et al. 2023, algorithm 2, written out; d divides the root mean square, as in Adafactor."""
    ours = start()
    optimizer = adamw(ours)
    hosted(optimizer, ours, threshold)
    (beta1, beta2), clipped = BETAS, 0
    weights = [parameter.detach().numpy().copy() for parameter in ours]
    v, u = ([np.zeros_like(item) for item in weights] for _ in range(2))
    for t in range(1, 9):
        set_gradients(ours, t)
        gradients = [parameter.grad.numpy().copy() for parameter in ours]
        optimizer.step()
        b1 = beta1 * (1 - beta1 ** (t - 1)) / (1 - beta1**t)
        b2 = beta2 * (1 - beta2 ** (t - 1)) / (1 - beta2**t)
        for k, g in enumerate(gradients):
            v[k] = b1 * v[k] + (1 - b1) * g
            u[k] = b2 * u[k] + (1 - b2) * g**2
            rms = np.sqrt(np.mean(g**2 / np.maximum(u[k], EPS**2)))
            rate = RATE / max(1, rms / threshold)
            clipped += rate < RATE
            weights[k] = weights[k] - rate * DECAY * weights[k] - rate * v[k] / (np.sqrt(u[k]) + EPS)
            np.testing.assert_allclose(ours[k].detach().numpy(), weights[k], rtol=1e-9, atol=1e-12)
    assert clipped > 0


@pytest.mark.parametrize("how", IMPLEMENTATIONS, ids=str)
def test_where_nothing_is_clipped_the_weights_are_adamws_bit_for_bit(how: dict[str, Any]) -> None:
    ours, theirs = start(dtype=torch.float32), start(dtype=torch.float32)
    optimizer, plain = adamw(ours, **how), adamw(theirs, **how)
    updates = hosted(optimizer, ours, threshold=1e9)
    for step in range(8):
        for parameters, one in ((ours, optimizer), (theirs, plain)):
            set_gradients(parameters, step)
            one.step()
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))
    assert updates.facts()["clipped_fraction"] == 0


def test_the_rates_of_the_groups_stay_the_schedules() -> None:
    parameters = start()
    optimizer = adamw(parameters)
    updates = hosted(optimizer, parameters, threshold=0.1)
    scheduler = LambdaLR(optimizer, lambda step: 1 / (1 + step))
    for step in range(6):
        set_gradients(parameters, step)
        optimizer.step()
        assert optimizer.param_groups[0]["lr"] == pytest.approx(RATE / (1 + step))
        scheduler.step()
    assert updates.facts()["clipped_fraction"] == 1.0


def test_restored_state_goes_on_bit_for_bit() -> None:
    whole, cut = start(dtype=torch.float32), start(dtype=torch.float32)
    one, two = adamw(whole, fused=True), adamw(cut, fused=True)
    first, second = hosted(one, whole), hosted(two, cut)
    for step in range(4):
        for parameters, optimizer in ((whole, one), (cut, two)):
            set_gradients(parameters, step)
            optimizer.step()
    again = [nn.Parameter(parameter.detach().clone()) for parameter in cut]
    three = adamw(again, fused=True)
    third = hosted(three, again)
    three.load_state_dict(two.state_dict())
    third.load_state(second.state())
    for step in range(4, 8):  # with the large gradients of step 5
        for parameters, optimizer in ((whole, one), (again, three)):
            set_gradients(parameters, step)
            optimizer.step()
    assert all(torch.equal(mine, other) for mine, other in zip(whole, again, strict=True))
    assert third.facts() == first.facts()


def test_a_tensor_without_a_gradient_stays() -> None:
    parameters = start()
    optimizer = adamw(parameters)
    updates = hosted(optimizer, parameters, threshold=0.1)
    set_gradients(parameters, 0)
    parameters[1].grad = None
    kept = parameters[1].detach().clone()
    optimizer.step()
    assert torch.equal(parameters[1], kept)
    assert updates.fraction.item() == 1.0
    assert set(updates.facts()["clipped_most"]) == {"p0", "p2"}


def test_after_a_spike_the_weights_are_where_a_bounded_step_leaves_them() -> None:
    """A gradient a thousand times as large after a long quiet: RMS near 1/sqrt(1 - beta2) instead of 1."""
    moves = []
    for clip in (False, True):
        parameter = nn.Parameter(torch.zeros(50, dtype=torch.float64))
        optimizer = AdamW([parameter], lr=RATE, betas=(0.0, 0.999), eps=EPS, weight_decay=0.0)
        if clip:
            hosted(optimizer, [parameter])
        for step in range(1000):
            parameter.grad = torch.full_like(parameter, 1e-3 * (-1) ** step)
            optimizer.step()
        before = parameter.detach().clone()
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        moves.append((before - parameter.detach()).mean().item() / RATE)
    # v = 0.001 * 1 + 0.999 * 1e-6, over its correction of 1 - 0.999^1001.
    rms = math.sqrt((1 - 0.999**1001) / (0.001 + 0.999 * 1e-6 * (1 - 0.999**1000)))
    assert moves == pytest.approx([rms, 1.0], rel=1e-3)
    assert rms > 20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_fused_kernel_is_clipped_without_waiting_for_the_device() -> None:
    ours, theirs = start("cuda", torch.float32), start("cpu", torch.float32)
    optimizer, plain = adamw(ours, fused=True), adamw(theirs, foreach=False)
    updates, others = hosted(optimizer, ours), hosted(plain, theirs)
    for step in range(8):
        for parameters, one in ((ours, optimizer), (theirs, plain)):
            set_gradients(parameters, step)
            if one is plain or step == 0:
                one.step()
                continue
            torch.cuda.set_sync_debug_mode("error")
            try:
                one.step()
            finally:
                torch.cuda.set_sync_debug_mode("default")
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.cpu(), other, rtol=1e-4, atol=1e-5)
    assert updates.facts() == others.facts()
