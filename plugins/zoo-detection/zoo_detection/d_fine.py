"""D-FINE (Peng et al. 2025): RT-DETR whose decoder moves the sides of boxes by distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DFineConfig, DFineForObjectDetection
from transformers.loss.loss_d_fine import bbox2distance

from zoo.models.detection.contracts import corners
from zoo_detection.options import DFineOptions
from zoo_detection.rt_detr import RtDetr
from zoo_detection.set_losses import Answered, Answers, Pairs, class_and_distance


class DFine(RtDetr):
    """transformers' `DFineModel`, trained from nothing, run as `RtDetr` is.

    Two more losses: ``fgl``, of the distributions of how far each side of a pair's box is to be moved (fine-grained
    localisation, section 4.1 of the paper), over the number of true boxes, and ``ddf``, which draws every layer's to
    the last one's (decoupled distillation focal loss, section 4.2). Boxes are cut to the image before any loss, as
    transformers does.

    Each layer is taken with its own distributions, and the last has an ``fgl`` loss like the others, as in the paper's
    code: transformers' `DFineForObjectDetectionLoss` takes each with those of the next layer, since it has the boxes
    that are to be moved in the first place among them, and leaves out one layer's boxes and the last one's
    distributions. Its `DFineLoss`, given layers and distributions that belong together, has the same losses. Neither
    has the paper's union of all layers' pairs.
    """

    options: DFineOptions
    name = "d-fine"
    published = DFineForObjectDetection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model.decoder.integral = ExactIntegral()

    def configuration(self, channels: Sequence[int]) -> Any:
        options = self.options
        common = self._common(channels)
        return DFineConfig(**common, max_num_bins=options.reg_max, up=options.a, reg_scale=1 / options.c)

    @property
    def weights(self) -> Mapping[str, float]:
        return {**super().weights, "fgl": self.options.fgl_weight, "ddf": self.options.ddf_weight}

    def _read(self, *args: Any) -> dict[str, Any]:
        predictions = super()._read(*args)
        first, *others = predictions["layers"]
        return predictions | {"layers": [Answers(first.logits, first.boxes.clamp(0, 1)), *others]}

    def _layers(self, decoded: Any, queries: slice) -> list[Answers]:
        """The boxes to be moved come first, without distributions, where the decoder gives them: in training."""
        logits, boxes = decoded.intermediate_logits, decoded.intermediate_reference_points  # [B, L', T, ...]
        sides, starts = decoded.intermediate_predicted_corners, decoded.initial_reference_points  # [B, L, T, ...]
        before = logits.shape[1] - sides.shape[1]  # 1 or 0
        answers = []
        for layer in range(logits.shape[1]):
            moved = layer - before
            answers.append(
                Answers(
                    logits[:, layer, queries].float(),
                    boxes[:, layer, queries].float().clamp(0, 1),
                    None if moved < 0 else sides[:, moved, queries].float().unflatten(-1, (4, -1)),
                    None if moved < 0 else starts[:, moved, queries].float(),
                )
            )
        return answers

    def _losses(self, answered: Answered) -> dict[str, Tensor]:
        options = self.options
        losses = class_and_distance(answered, options.alpha, options.gamma)
        last = answered.layers[-1]
        assert last.sides is not None
        zero = last.logits.new_zeros(())
        moved, drawn = [zero], [zero]
        for layer, pairs, overlap in zip(answered.layers, answered.pairs, answered.overlaps(), strict=True):
            if layer.sides is None:
                continue
            moved.append(self._fine_grained(layer, pairs, overlap))
            if layer is not last:
                drawn.append(drawn_to(layer.sides, last, pairs, overlap, answered.alive, options.temperature))
        return {**losses, "fgl": torch.stack(moved).sum() / answered.count, "ddf": torch.stack(drawn).sum()}

    def _fine_grained(self, layer: Answers, pairs: Pairs, overlap: Tensor) -> Tensor:
        """Cross-entropy of each side's distribution to the two movements around the true one, by overlap, added up."""
        assert layer.sides is not None
        assert layer.start is not None
        options = self.options
        up = layer.start.new_tensor([options.a])
        lower, upper_share, lower_share = bbox2distance(
            layer.start[pairs.at].detach(), corners(pairs.boxes), options.reg_max, 1 / options.c, up
        )  # [4 * M] each
        logs = layer.sides[pairs.at].flatten(0, 1).log_softmax(-1)  # [4 * M, N + 1]
        index = lower.long()
        near = -logs.gather(1, torch.stack((index, index + 1), dim=1))  # [4 * M, 2]
        each = near[:, 0] * lower_share + near[:, 1] * upper_share
        lost: Tensor = (each * overlap.repeat_interleave(4)).sum()
        return lost


class ExactIntegral(nn.Module):
    """The mean of each side's distribution. transformers' is a product of matrices, which mixed precision rounds: sides
    would stand on a grid of eight bits."""

    def forward(self, sides: Tensor, movements: Tensor) -> Tensor:
        """Logits ``[B, Q, 4 * (N + 1)]`` and the movements W ``[N + 1]`` -> how far sides move, ``[B, Q, 4]``."""
        shares = sides.float().unflatten(-1, (4, -1)).softmax(-1)  # [B, Q, 4, N + 1]
        return (shares * movements.float()).sum(-1).to(movements.dtype)  # [B, Q, 4]


def drawn_to(
    sides: Tensor, teacher: Answers, pairs: Pairs, overlap: Tensor, alive: Tensor, temperature: float
) -> Tensor:
    """How far distributions ``[B, Q, 4, N + 1]`` are from the teacher's, which has no gradient from it.

    Means over pairs, by their overlap, and over the other queries, by how sure the teacher is, are mixed by the square
    roots of their numbers.
    """
    assert teacher.sides is not None
    weight = teacher.logits.detach().sigmoid().amax(-1)  # [B, Q]
    weight[pairs.at] = overlap.to(weight)
    hit = torch.zeros_like(alive)
    hit[pairs.at] = True
    wanted = (teacher.sides.detach() / temperature).log_softmax(-1)
    apart = F.kl_div((sides / temperature).log_softmax(-1), wanted, reduction="none", log_target=True).sum((2, 3))
    apart = apart / 4 * weight * temperature**2  # [B, Q]: a mean over sides
    loss, whole = apart.new_zeros(()), apart.new_zeros(())
    for chosen in (hit & alive, ~hit & alive):
        number = chosen.sum()
        loss = loss + (apart * chosen).sum() / number.clamp(min=1) * number.sqrt()
        whole = whole + number.sqrt()
    return loss / whole
