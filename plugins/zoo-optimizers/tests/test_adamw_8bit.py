"""AdamW in 8 bits: exact where its state is, near where it is rounded; and where it can run."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest
import torch
from torch import nn
from zoo_optimizers.adamw import AdamW
from zoo_optimizers.adamw_8bit import AdamW8bit, PagedAdamW8bit
from zoo_optimizers.optimizer_options import AdamW8bitOptions
from zoo_optimizers.options import AdamWOptions

from zoo.errors import ZooError

SIZE = (80, 64)


def run(factory: Any, steps: int, size: tuple[int, ...] = SIZE, device: str = "cpu") -> tuple[Any, nn.Parameter]:
    generator = torch.Generator().manual_seed(4)
    parameter = nn.Parameter(torch.randn(size, generator=generator).to(device))
    optimizer = factory.create([("layer.weight", parameter)])
    for _ in range(steps):
        parameter.grad = torch.randn(size, generator=generator).to(device)
        optimizer.step()
    return optimizer, parameter


def eight_bits(**options: Any) -> AdamW8bit:
    pytest.importorskip("bitsandbytes")
    return AdamW8bit(AdamW8bitOptions(lr=0.01, beta2=0.99, **options))


ADAMW = AdamW(AdamWOptions(lr=0.01, beta2=0.99))


def test_the_first_step_is_adamws() -> None:
    """Nothing has been rounded yet."""
    torch.testing.assert_close(run(eight_bits(), 1)[1], run(ADAMW, 1)[1], rtol=1e-5, atol=1e-7)


def test_twenty_steps_of_a_small_parameter_are_adamws() -> None:
    """Below min_8bit_size the moments are in single precision."""
    torch.testing.assert_close(run(eight_bits(), 20, (8, 4))[1], run(ADAMW, 20, (8, 4))[1], rtol=1e-5, atol=1e-6)


def test_moments_are_kept_as_the_nearest_codes() -> None:
    """Dettmers et al. 2022, equation 2: of each number by its block's largest. On a CPU the nearest but for 1e-4, a
    hundredth of the widest gap: the kernel finds codes by a table."""
    optimizer, parameter = run(eight_bits(), 1)
    assert parameter.grad is not None
    state = optimizer.state[parameter]
    exact = {"1": 0.1 * parameter.grad, "2": 0.01 * parameter.grad.square()}
    for which, moment in exact.items():
        blocks = moment.flatten().view(-1, 256)  # [N, 256]
        scales, codes = state[f"absmax{which}"], state[f"qmap{which}"]
        torch.testing.assert_close(scales, blocks.abs().amax(1), rtol=1e-6, atol=0)
        relative = (blocks / scales[:, None]).flatten()  # [M]
        away = (codes[state[f"state{which}"].flatten().long()] - relative).abs()
        nearest = (codes[None] - relative[:, None]).abs().amin(1)
        assert (away <= nearest + 1e-4).all()


def test_after_twenty_steps_it_has_gone_where_adamw_goes() -> None:
    start = run(ADAMW, 0)[1].detach()
    ours, theirs = (run(factory, 20)[1].detach() - start for factory in (eight_bits(), ADAMW))
    assert torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), 0) > 0.99


def test_without_bitsandbytes_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "bitsandbytes":
            raise ImportError("No module named 'bitsandbytes'")
        return original(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "bitsandbytes", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ZooError, match=r"zoo-optimizers\[bitsandbytes\]"):
        AdamW8bit(AdamW8bitOptions()).create([("weight", nn.Parameter(torch.ones(2)))])


def test_pages_need_a_cuda_device_and_the_nearest_that_needs_none_is_named() -> None:
    with pytest.raises(ZooError, match="the model is on cpu: take adamw-8bit"):
        PagedAdamW8bit(AdamW8bitOptions()).create([("weight", nn.Parameter(torch.ones(2)))])


def test_a_device_without_kernels_is_refused() -> None:
    with pytest.raises(ZooError, match="adamw-8bit cannot run on meta"):
        AdamW8bit(AdamW8bitOptions()).create([("weight", nn.Parameter(torch.ones(2, device="meta")))])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pages_are_pages_again_after_a_checkpoint_and_hold_what_they_held() -> None:
    pytest.importorskip("bitsandbytes")
    factory = PagedAdamW8bit(AdamW8bitOptions(lr=0.01, beta2=0.99))
    optimizer, parameter = run(factory, 3, (512, 512), "cuda")
    twin = nn.Parameter(parameter.detach().clone())
    other = factory.create([("layer.weight", twin)])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[twin]["state1"].is_paged
    gradient = torch.randn(512, 512, device="cuda")
    parameter.grad, twin.grad = gradient.clone(), gradient.clone()
    optimizer.step()
    other.step()
    assert torch.equal(parameter, twin)
