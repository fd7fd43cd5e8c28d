"""What torchvision says of boxes: a program that reads and prints JSON, in a process of its own.

``python torchvision_losses.py FOLDER < {"predicted": [...], "target": [...]}``, with torchvision in FOLDER rather than
in the environment: there transformers would take it for a whole one, and it asks for a torch of its own.
"""

from __future__ import annotations

import json
import sys

import torch

# Its compiled part is for another build of torch; the losses are Python, and ask only that its operators have names.
LIBRARY = torch.library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def main() -> None:
    sys.path.append(sys.argv[1])
    from torchvision import ops

    asked = json.load(sys.stdin)
    target = torch.tensor(asked["target"], dtype=torch.float64)
    said = {}
    for name, loss in (
        ("giou", ops.generalized_box_iou_loss),
        ("diou", ops.distance_box_iou_loss),
        ("ciou", ops.complete_box_iou_loss),
    ):
        predicted = torch.tensor(asked["predicted"], dtype=torch.float64, requires_grad=True)
        values = loss(predicted, target)
        values.sum().backward()
        said[name] = {"values": values.tolist(), "gradient": predicted.grad.tolist()}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
