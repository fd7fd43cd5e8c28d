"""Values and gradients are those of torchvision, of transformers, and of the papers' formulas written out."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Boxes = tuple[Tensor, Tensor]
SCRIPT = Path(__file__).parent / "torchvision_losses.py"


@pytest.fixture(scope="module")
def torchvision(boxes: Boxes) -> Any:
    """What torchvision says of `boxes`; it lies in the folder ZOO_ORACLES, which make's environment has."""
    folder = Path(os.environ.get("ZOO_ORACLES", ""))
    if not (folder / "torchvision").is_dir():
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("no torchvision: pip install --no-deps --target DIR torchvision, and ZOO_ORACLES=DIR")
    asked = json.dumps({"predicted": boxes[0].tolist(), "target": boxes[1].tolist()})
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)],
        input=asked,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.parametrize("name", ["giou", "diou", "ciou"])
def test_values_and_gradients_are_those_of_torchvision(
    loss_named: Any, boxes: Boxes, torchvision: Any, name: str
) -> None:
    predicted = boxes[0].clone().requires_grad_()
    values = loss_named(name)(predicted, boxes[1])
    values.sum().backward()
    said = {key: torch.tensor(numbers, dtype=torch.float64) for key, numbers in torchvision[name].items()}
    torch.testing.assert_close(values.detach(), said["values"], rtol=0, atol=1e-6)
    torch.testing.assert_close(predicted.grad, said["gradient"], rtol=0, atol=1e-6)


def test_overlaps_of_pairs_are_those_of_transformers(loss_named: Any, boxes: Boxes) -> None:
    from transformers.loss.loss_for_object_detection import box_iou, generalized_box_iou

    predicted, target = boxes[0][:50], boxes[1][:40]
    for name, oracle in (("iou", lambda *pair: box_iou(*pair)[0]), ("giou", generalized_box_iou)):
        found = loss_named(name)(predicted[:, None], target[None])  # [50, 40]
        torch.testing.assert_close(found, 1 - oracle(predicted, target), rtol=0, atol=1e-6)


def _by_hand(a: list[float], b: list[float]) -> dict[str, float]:
    """The papers' quantities of one pair, in plain numbers."""
    w, h, wg, hg = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    inter = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = w * h + wg * hg - inter
    cw, ch = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    iou, rho2, c2 = inter / union, dx * dx + dy * dy, cw * cw + ch * ch
    v = 4 / math.pi**2 * (math.atan2(wg, hg) - math.atan2(w, h)) ** 2
    sine = abs(dy) / math.sqrt(rho2)
    angle = 1 - 2 * math.sin(math.asin(sine) - math.pi / 4) ** 2
    distance = sum(1 - math.exp(-(2 - angle) * (d / c) ** 2) for d, c in ((dx, cw), (dy, ch)))
    shape = sum((1 - math.exp(-abs(s - g) / max(s, g))) ** 4 for s, g in ((w, wg), (h, hg)))
    wasserstein = math.sqrt(rho2 + ((w - wg) ** 2 + (h - hg) ** 2) / 4)
    differences = [p - q for p, q in zip(a, b, strict=True)]
    gap, alpha = (cw * ch - union) / (cw * ch), v / (1 - iou + v)
    # Boxes of three quarters of the sides about the same centres (Inner-IoU).
    inner = max(0.0, min(w, wg) * 0.75 if abs(dx) < abs(w - wg) * 0.375 else (w + wg) * 0.375 - abs(dx))
    inner *= max(0.0, min(h, hg) * 0.75 if abs(dy) < abs(h - hg) * 0.375 else (h + hg) * 0.375 - abs(dy))
    inner_iou = inner / (0.75**2 * (w * h + wg * hg) - inner)
    beta = 1 - iou  # over a running mean of 1
    return {
        "l1": sum(map(abs, differences)),
        "l2": sum(d * d for d in differences),
        "smooth-l1": sum(abs(d) - 0.5 if abs(d) > 1 else d * d / 2 for d in differences),
        "iou": 1 - iou,
        "giou": 1 - iou + gap,
        "diou": 1 - iou + rho2 / c2,
        "ciou": 1 - iou + rho2 / c2 + alpha * v,
        "eiou": 1 - iou + rho2 / c2 + (w - wg) ** 2 / cw**2 + (h - hg) ** 2 / ch**2,
        "siou": 1 - iou + (distance + shape) / 2,
        "alpha-iou": 1 - iou**3,
        "alpha-iou giou": 1 - iou**3 + gap**3,
        "alpha-iou diou": 1 - iou**3 + rho2**3 / c2**3,
        "alpha-iou ciou": 1 - iou**3 + rho2**3 / c2**3 + (alpha * v) ** 3,
        "inner-iou": 1 - inner_iou,
        "inner-iou ciou": 1 - iou + rho2 / c2 + alpha * v + iou - inner_iou,
        "wiou-v1": math.exp(rho2 / c2) * (1 - iou),
        "wiou-v3": math.exp(rho2 / c2) * (1 - iou) * beta / (3 * 1.9 ** (beta - 3)),
        "nwd": 1 - math.exp(-wasserstein / 12.7),
    }


def test_values_are_those_of_the_formulas_written_out(loss_named: Any, boxes: Boxes) -> None:
    expected = [_by_hand(*pair) for pair in zip(boxes[0].tolist(), boxes[1].tolist(), strict=True)]
    for name in expected[0]:
        loss, _, part = name.partition(" ")
        options = {{"alpha-iou": "penalty", "inner-iou": "of"}[loss]: part} if part else {}
        found = loss_named(loss, **options)(*boxes)
        said = torch.tensor([pair[name] for pair in expected], dtype=torch.float64)
        torch.testing.assert_close(found, said, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


def test_powers_of_one_are_the_losses_they_are_powers_of(loss_named: Any, boxes: Boxes) -> None:
    for penalty, name in (("none", "iou"), ("giou", "giou"), ("diou", "diou"), ("ciou", "ciou")):
        found = loss_named("alpha-iou", alpha=1.0, penalty=penalty)(*boxes)
        torch.testing.assert_close(found, loss_named(name)(*boxes), rtol=0, atol=1e-12)


def test_inner_boxes_are_the_boxes_with_other_sides(loss_named: Any, boxes: Boxes) -> None:
    def resized(box: Tensor, ratio: float) -> Tensor:
        low, high = box[:, :2], box[:, 2:]
        centre, half = (low + high) / 2, (high - low) / 2 * ratio
        return torch.cat((centre - half, centre + half), -1)

    for ratio in (0.6, 1.0, 1.4):
        inner = loss_named("iou")(*(resized(box, ratio) for box in boxes))
        found = loss_named("inner-iou", ratio=ratio)(*boxes)
        torch.testing.assert_close(found, inner, rtol=0, atol=1e-12)
        on_top = loss_named("inner-iou", ratio=ratio, of="eiou")(*boxes)
        expected = loss_named("eiou")(*boxes) + inner - loss_named("iou")(*boxes)
        torch.testing.assert_close(on_top, expected, rtol=0, atol=1e-12)


def _gaussian(box: Tensor) -> Tensor:
    """Covariances ``[N, 2, 2]`` of rotated boxes ``[N, 5]``."""
    cosine, sine = box[:, 4].cos(), box[:, 4].sin()
    turn = torch.stack((cosine, -sine, sine, cosine), -1).reshape(-1, 2, 2)
    return turn @ torch.diag_embed((box[:, 2:4] / 2) ** 2) @ turn.mT


def test_kfiou_is_that_of_the_product_of_two_normal_distributions(loss_named: Any, boxes: Boxes) -> None:
    rotated = []
    for index, box in enumerate(boxes):
        low, high = box[:, :2], box[:, 2:]
        angle = torch.linspace(-4, 4, len(box), dtype=torch.float64)[:, None] * (index + 1)
        rotated.append(torch.cat(((low + high) / 2, high - low, angle), -1))
    predicted, target = rotated
    one, two = _gaussian(predicted), _gaussian(target)
    gain = one @ torch.linalg.inv(one + two)  # the Kalman gain
    volumes = [4 * torch.linalg.det(sigma).sqrt() for sigma in (one, two, one - gain @ one)]
    share = volumes[2] / (volumes[0] + volumes[1] - volumes[2])
    offset = (predicted[:, :2] - target[:, :2]).abs() / (target[:, 2] * target[:, 3]).sqrt()[:, None]
    beta = 1 / 9
    centre = torch.where(offset < beta, offset**2 / (2 * beta), offset - beta / 2).sum(-1)
    for form, loss in (("linear", 1 - share), ("exp", (1 - share).exp() - 1), ("ln", -(share + 1e-6).log())):
        found = loss_named("kfiou", form=form)(predicted, target)
        torch.testing.assert_close(found, centre + loss, rtol=1e-8, atol=1e-8)
    same = torch.cat((target[:, :4], predicted[:, 4:]), -1)
    torch.testing.assert_close(loss_named("kfiou")(same, same), torch.full((len(same),), 2 / 3, dtype=torch.float64))


def test_the_weight_of_wiou_v3_follows_the_running_mean(loss_named: Any, boxes: Boxes) -> None:
    loss = loss_named("wiou-v3", momentum=0.25).train()
    overlap = loss_named("iou")(*boxes)
    loss(boxes[0].clone().requires_grad_(), boxes[1])
    mean = 0.75 + 0.25 * overlap.mean()
    torch.testing.assert_close(loss.mean.double(), mean, rtol=0, atol=1e-6)
    beta = overlap / mean
    expected = loss_named("wiou-v1")(*boxes) * beta / (3 * 1.9 ** (beta - 3))
    torch.testing.assert_close(loss.eval()(*boxes), expected, rtol=1e-5, atol=1e-6)


def test_a_batch_of_nan_does_not_stay_in_the_running_mean(loss_named: Any, boxes: Boxes) -> None:
    """A host skips such a step; nothing that it keeps may remember it."""
    loss = loss_named("wiou-v3", momentum=0.25).train()
    loss((boxes[0] * float("nan")).requires_grad_(), boxes[1])
    assert float(loss.mean) == 1.0


@pytest.mark.parametrize("reentrant", [False, True])
def test_the_running_mean_moves_once_where_a_pass_is_computed_again(
    loss_named: Any, boxes: Boxes, reentrant: bool
) -> None:
    """And the second pass weighs by the mean of the first, but for a reentrant checkpoint, whose first has no
    gradients and moves nothing."""
    loss, plain = (loss_named("wiou-v3", momentum=0.25).train() for _ in range(2))
    for _ in range(3):
        predicted, same = (boxes[0].clone().requires_grad_() for _ in range(2))
        checkpoint(loss, predicted, boxes[1], use_reentrant=reentrant).sum().backward()
        plain(same, boxes[1]).sum().backward()
        assert float(loss.mean) == float(plain.mean)
        torch.testing.assert_close(predicted.grad, same.grad, rtol=1e-12, atol=1e-12)


def test_alpha_of_ciou_is_nothing_below_the_least_overlap(loss_named: Any, boxes: Boxes) -> None:
    ciou, diou = loss_named("ciou", minimum_iou=0.3)(*boxes), loss_named("diou")(*boxes)
    below = loss_named("iou")(*boxes) > 0.7
    assert 0 < int(below.sum()) < len(below)
    assert torch.equal(ciou[below], diou[below])
    torch.testing.assert_close(ciou[~below], loss_named("ciou")(*boxes)[~below])
