"""Value and gradient of CIoU on a million boxes: our fused pass beside torchvision's loss, in turn in one process.

torchvision is not a dependency, and must not lie in the environment (transformers would take it for a whole one): name
in ZOO_ORACLES the folder that ``pip install --no-deps --target DIR torchvision`` wrote, as make's environment does.
With ``--benchmark`` the fused pass is at least SPEED times as fast and takes at most MEMORY of the memory, with CUDA at
least GPU_SPEED times. Without it a few boxes go through both passes of ours, so that the benchmark cannot rot.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from zoo.models.boxes import BoxLoss
from zoo.spec.options import Chosen, Slot

SPEED, GPU_SPEED, MEMORY = 3.0, 5.0, 1 / 3
BOXES, ROUNDS = 1_000_000, 9
LOSSES: TypeAdapter[Chosen] = TypeAdapter(Annotated[Chosen, Slot("box-loss")])
Loss = Callable[[Tensor, Tensor], Tensor]


def fused(**options: Any) -> BoxLoss:
    chosen: Chosen = LOSSES.validate_python({"use": "zoo-iou-losses/fused", "of": "zoo-iou-losses/ciou", **options})
    loss: BoxLoss = chosen.create()
    return loss


def boxes(count: int, device: str) -> tuple[Tensor, Tensor]:
    """Predicted and target boxes ``[count, 4]`` of a few hundred pixels, most of them overlapping, none square."""
    draw = torch.Generator().manual_seed(0)
    corner, sides = 100 * torch.rand(2, count, 2, generator=draw), 10 + 90 * torch.rand(2, count, 2, generator=draw)
    predicted, target = torch.cat((corner, corner + sides), -1).to(device)
    return predicted, target


def torchvision_loss(folder: str) -> Loss:
    """Its losses are Python; of its compiled part, for another build of torch, they ask only operators' names."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    sys.path.append(folder)
    from torchvision.ops import complete_box_iou_loss

    torchvision_loss.library = library  # type: ignore[attr-defined]  # its operators live as long as it does
    return lambda predicted, target: complete_box_iou_loss(predicted, target, reduction="none")


def step(loss: Loss, predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The values and their gradient, as a training step asks for both."""
    predicted = predicted.detach().requires_grad_()
    values = loss(predicted, target)
    values.sum().backward()
    assert predicted.grad is not None
    return values.detach(), predicted.grad


def _peak(run: Callable[[], Any], device: str) -> int:
    """Bytes by which tensors grow at their peak: the device's count, or what the profiler saw allocated and freed."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    level = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level)
    return peak


def _seconds(run: Callable[[], Any], device: str) -> float:
    begun = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def measured(folder: str) -> dict[str, Any]:
    """Seconds, in turn, and peak bytes of both; the time to read and write what a step must; how far the two differ."""
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    predicted, target = boxes(BOXES, device)
    ours, theirs = fused(), torchvision_loss(folder)
    runs = {"ours": lambda: step(ours, predicted, target), "theirs": lambda: step(theirs, predicted, target)}
    # The floor: both boxes read once, losses and gradient written once, and the gradient scaled by the one that came.
    room, scale = torch.empty_like(predicted), torch.ones(BOXES, 1, device=device)
    runs["floor"] = lambda: torch.mul(torch.add(predicted, target, out=room), scale)
    compiled_in = _seconds(runs["ours"], device)
    found: dict[str, Any] = {"seconds": {name: [] for name in runs}, "device": device, "compiled_in": compiled_in}
    (ours_values, ours_gradient), (values, gradient) = runs["ours"](), runs["theirs"]()
    found["differs"] = [
        float((ours_values - values).abs().max()),
        float((ours_gradient - gradient).abs().max() / gradient.abs().max()),
    ]
    del ours_values, ours_gradient, values, gradient
    found["bytes"] = {name: _peak(runs[name], device) for name in ("ours", "theirs")}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found["seconds"][name].append(_seconds(run, device))
    return found


def test_fused_ciou_is_faster_and_smaller_than_torchvisions(
    request: pytest.FixtureRequest, one_thread: None, say: Callable[[str], None]
) -> None:
    if not request.config.getoption("--benchmark", False):
        predicted, target = boxes(50, "cpu")
        eager = fused(backend="eager")
        for found, plain in zip(step(eager, predicted, target), step(eager.of, predicted, target), strict=True):
            torch.testing.assert_close(found, plain)
        return
    folder = os.environ.get("ZOO_ORACLES", "")
    if not (Path(folder) / "torchvision").is_dir():
        pytest.skip("no torchvision: pip install --no-deps --target DIR torchvision, and ZOO_ORACLES=DIR")
    done = subprocess.run([sys.executable, __file__, folder], capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    seconds = {name: statistics.median(times) for name, times in found["seconds"].items()}
    speed = statistics.median(b / a for a, b in zip(found["seconds"]["ours"], found["seconds"]["theirs"], strict=True))
    share = found["bytes"]["ours"] / found["bytes"]["theirs"]
    mega = 2**20
    say(
        f"CIoU and its gradient, {BOXES:,} boxes, {found['device']}: {seconds['ours'] * 1e3:.1f} ms against "
        f"torchvision's {seconds['theirs'] * 1e3:.1f} ms ({speed:.1f} times as fast), "
        f"{found['bytes']['ours'] / mega:.0f} MB against "
        f"{found['bytes']['theirs'] / mega:.0f} MB ({share:.2f}); reading and writing alone take "
        f"{seconds['floor'] * 1e3:.1f} ms; compiled in {found['compiled_in']:.0f} s"
    )
    assert found["differs"][0] < 1e-5
    assert found["differs"][1] < 1e-4
    assert speed >= (GPU_SPEED if found["device"] == "cuda" else SPEED)
    assert share <= MEMORY


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1])))
