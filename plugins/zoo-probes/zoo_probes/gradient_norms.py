"""How the gradient is spread over depth."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import torch

from zoo.models.scores import negative_log_likelihood
from zoo.probes.batches import log_probabilities_of, target_logits
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series

_LAYER = re.compile(r"(?:^|\.)(?:layers|block|layer|h)\.(\d+)\.")


class GradientNorms(Probe):
    """L2 norm of the gradient of each layer's parameters, by depth, on one batch.

    The loss is the mean ``-log p`` of the references per target token, without dropout and whatever the training
    objective. ``total`` is the norm over all parameters; ``encoder_first_to_last`` and ``decoder_first_to_last`` are
    the first layer's norm over the last one's: below 1 where gradients vanish on their way down, as in deep post-norm
    stacks (Xiong et al. 2020, arXiv:2002.04745; Takase et al. 2023, arXiv:2206.00330).
    """

    needs_gradients = True

    def measure(self, context: ProbeContext) -> ProbeResult:
        batch = next(iter(context.batches()), None)
        if batch is None:
            return ProbeResult()
        logits = target_logits(context.model, batch)  # [B, T, V]
        loss = negative_log_likelihood(
            logits.flatten(0, 1),
            batch.labels.flatten(),
            log_probabilities=log_probabilities_of(context.model),
            reduction="mean",
        )
        named = [(name, item) for name, item in context.model.named_parameters() if item.requires_grad]
        gradients = torch.autograd.grad(loss, [item for _, item in named], allow_unused=True)
        squares = {
            name: float(gradient.double().square().sum())
            for (name, _), gradient in zip(named, gradients, strict=True)
            if gradient is not None
        }
        return summary(squares)


def summary(squares: dict[str, float]) -> ProbeResult:
    """The result of squared gradient norms by parameter name."""
    layers: dict[str, dict[int, float]] = {}
    for name, value in squares.items():
        place = layer_of(name)
        if place is not None:
            depths = layers.setdefault(place[0], {})
            depths[place[1]] = depths.get(place[1], 0.0) + value
    scalars = {"total": math.sqrt(sum(squares.values()))}
    for stack, depths in layers.items():
        scalars |= {f"{stack}_total": math.sqrt(sum(depths.values()))}
        first, last = math.sqrt(depths[min(depths)]), math.sqrt(depths[max(depths)])
        if last > 0:
            scalars[f"{stack}_first_to_last"] = first / last
    embeddings = sum(value for name, value in squares.items() if "embed" in name or name.startswith("lm_head"))
    if embeddings:
        scalars["embeddings"] = math.sqrt(embeddings)
    if not layers:
        return ProbeResult(scalars)
    deepest = 1 + max(max(depths) for depths in layers.values())
    lines = {stack: _by_depth(depths, range(deepest)) for stack, depths in layers.items()}
    return ProbeResult(scalars, {"by_layer": Series("layer", "L2 norm of the gradient", tuple(range(deepest)), lines)})


def layer_of(name: str) -> tuple[str, int] | None:
    """Stack (``encoder``, ``decoder`` or ``layers``) and depth of a parameter; None where it is in no layer."""
    found = _LAYER.search(name)
    if found is None:
        return None
    stack = next((part for part in ("encoder", "decoder") if part in name.split(".")), "layers")
    return stack, int(found[1])


def _by_depth(depths: dict[int, float], places: Iterable[int]) -> list[float | None]:
    return [math.sqrt(depths[place]) if place in depths else None for place in places]
