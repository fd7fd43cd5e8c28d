"""What each decoder layer takes from each encoder output, as a probe."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zoo.errors import InputError
from zoo.models.contracts import Fusion
from zoo.probes.batches import real
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo_fusion.measures import layer_shares, omission_losses

_AXIS = "encoder output (0: embeddings)"


class LayerShares(Probe):
    """Effective shares of the encoder's outputs, and what each is worth.

    The share of output l in a decoder layer is ||W_V t_l|| / sum_l' ||W_V t_l'||, where t_l is what l adds to that
    layer's memory (`Fusion.contributions`) and W_V the value matrix of its cross-attention; mean over source tokens.
    Raw fusion weights are not identifiable, this is. ``omission_l`` is by how much the loss of the references rises, in
    nats per target token, when output l alone is left out of every memory. ``embeddings``, ``contextual`` and ``top``
    are shares of output 0, of all others, and of the last, mean over decoder layers.
    """

    def accept(self, model: Any) -> None:
        fusion = getattr(getattr(model, "decoder", None), "fusion", None)
        if fusion is None:
            raise InputError(f"the probe 'layer-shares' reads a fusion, and {type(model).__name__} has none")
        if type(fusion).contributions is Fusion.contributions:
            raise InputError(
                f"the probe 'layer-shares': the memory of {type(fusion).__name__} is no sum over encoder layers"
            )

    def measure(self, context: ProbeContext) -> ProbeResult:
        shares: Tensor | float = 0.0  # [K, L]
        losses: Tensor | float = 0.0  # [L]
        sources = targets = 0
        for batch in context.batches():
            source, target = int(batch.attention_mask.sum()), int(real(batch.labels).sum())
            shares = shares + layer_shares(context.model, batch.inputs()).double().cpu() * source  # [K, L]
            given = {**batch.inputs(), "labels": batch.labels}
            losses = losses + omission_losses(context.model, given).double().cpu() * target  # [L]
            sources, targets = sources + source, targets + target
        if not isinstance(shares, Tensor) or not isinstance(losses, Tensor):
            return ProbeResult()
        shares, losses = shares / sources, losses / targets
        return result(shares, losses)


def result(shares: Tensor, losses: Tensor) -> ProbeResult:
    """Shares ``[K, L]`` and losses ``[L]`` under their names."""
    mean = shares.mean(dim=0)  # [L]
    outputs = tuple(range(len(mean)))
    lines = {f"decoder layer {depth}": row.tolist() for depth, row in enumerate(shares, start=1)}
    scalars = {"embeddings": float(mean[0]), "contextual": float(mean[1:].sum()), "top": float(mean[-1])}
    scalars |= {f"omission_{output}": float(losses[output]) for output in outputs}
    return ProbeResult(
        scalars,
        {
            "shares": Series(_AXIS, "effective share", outputs, lines),
            "omissions": Series(_AXIS, "rise of the loss when left out, nats", outputs, {"loss": losses.tolist()}),
        },
    )
