"""The fused pass gives what autograd gives, compiled or not, over any number of boxes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_iou_losses import fused as fused_module

from zoo.errors import InputError

Boxes = tuple[Tensor, Tensor]


def _both(loss: Any, predicted: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    predicted = predicted.clone().requires_grad_()
    values = loss(predicted, target)
    (gradient,) = torch.autograd.grad((values * weight).sum(), predicted)
    return values.detach(), gradient


@pytest.mark.parametrize("name", ["ciou", "siou", "diou-published"])
def test_chunks_change_nothing(loss_named: Any, boxes: Boxes, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Chunks of 64 of 200 boxes: three full ones and one that is not."""
    monkeypatch.setattr(fused_module, "CHUNK", 64)
    loss, weight = loss_named("fused", of=name, backend="eager"), torch.linspace(-1, 2, 200, dtype=torch.float64)
    for found, expected in zip(_both(loss, *boxes, weight), _both(loss.of, *boxes, weight), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_second_backward_pass_gives_the_same_gradient(loss_named: Any, boxes: Boxes) -> None:
    """The first one takes what was kept."""
    predicted = boxes[0].clone().requires_grad_()
    total = (3 * loss_named("fused", backend="eager")(predicted, boxes[1])).sum()
    (first,) = torch.autograd.grad(total, predicted, retain_graph=True)
    (second,) = torch.autograd.grad(total, predicted)
    assert torch.equal(first, second)


def test_a_target_that_learns_gets_its_gradient(loss_named: Any, boxes: Boxes) -> None:
    target = boxes[1].clone().requires_grad_()
    loss = loss_named("fused", backend="eager")
    (found,) = torch.autograd.grad(loss(boxes[0], target).sum(), target)
    (expected,) = torch.autograd.grad(loss.of(boxes[0], target).sum(), target)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("of", ["wiou-v3", "kfiou", "fused"])
def test_losses_that_cannot_be_fused_are_refused(loss_named: Any, of: str) -> None:
    with pytest.raises(InputError, match=f"'of' is '{of}': expected a loss of boxes x1, y1, x2, y2"):
        loss_named("fused", of=of)


def _without_a_compiler() -> None:
    """Run in a process of its own, in whose environment there is none."""
    import warnings

    kernel = fused_module.ColumnKernel(lambda predicted, target: (predicted - target).square().sum(-1), compiled=True)
    columns = torch.arange(8.0).reshape(4, 2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(2):
            values, gradient = kernel(columns, torch.ones(4, 2))
    assert values.tolist() == [1 + 1 + 9 + 25, 0 + 4 + 16 + 36]
    assert torch.equal(gradient, 2 * (columns - 1))
    print([str(one.message) for one in told if "without a compiled kernel" in str(one.message)])


@pytest.mark.slow
@pytest.mark.once
def test_without_a_compiler_it_says_so_once_and_computes_all_the_same() -> None:
    nowhere = {**os.environ, "CXX": "/nowhere/c++", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--without-a-compiler"],
        env=nowhere,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(re.findall("box losses are computed without a compiled kernel", done.stdout)) == 1


@pytest.mark.slow
@pytest.mark.once
def test_the_compiled_kernel_gives_what_autograd_gives(loss_named: Any, boxes: Boxes) -> None:
    predicted, target = (box.float() for box in boxes)
    loss, weight = loss_named("fused"), torch.linspace(-1, 2, 200)
    for found, expected in zip(_both(loss, predicted, target, weight), _both(loss.of, *boxes, weight), strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_it_gives_what_autograd_gives(loss_named: Any, boxes: Boxes) -> None:
    predicted, target = (box.float().cuda() for box in boxes)
    loss, weight = loss_named("fused"), torch.linspace(-1, 2, 200, device="cuda")
    for count in (200, 77):
        part = predicted[:count], target[:count], weight[:count]
        for found, expected in zip(_both(loss, *part), _both(loss.of, *part), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


if __name__ == "__main__" and "--without-a-compiler" in sys.argv:
    _without_a_compiler()
