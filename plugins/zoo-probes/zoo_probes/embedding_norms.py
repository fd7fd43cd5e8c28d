"""How long token embeddings are, and how loud positions are beside them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


class EmbeddingNorms(Probe):
    """L2 norms of the rows of the embedding matrices, and the balance of position vectors and token embeddings.

    ``source_mean``, ``target_mean`` and ``output_mean`` are mean row norms (a tied matrix counts once, under the first
    of these names), the series their quantiles. ``<side>_position_balance`` is the mean norm of what the position
    scheme adds to the sample's embeddings over the mean norm of the embeddings that it is added to, scaled by sqrt(D)
    where the model does so (Vaswani et al. 2017, arXiv:1706.03762, sections 3.4 and 3.5): dropping that factor, or a
    normalisation, when positions are exchanged moves this number. Schemes that add nothing give 0.
    """

    def measure(self, context: ProbeContext) -> ProbeResult:
        model = context.model
        scalars: dict[str, float] = {}
        lines: dict[str, list[float]] = {}
        for name, matrix in matrices(model).items():
            norms = torch.linalg.vector_norm(matrix.double(), dim=-1).cpu()  # [V]
            scalars[f"{name}_mean"] = float(norms.mean())
            lines[name] = torch.quantile(norms, torch.tensor(LEVELS, dtype=torch.float64)).tolist()
        scalars |= self._balances(context)
        series = Series("quantile of rows", "L2 norm", LEVELS, lines)
        return ProbeResult(scalars, {"quantiles": series})

    def _balances(self, context: ProbeContext) -> dict[str, float]:
        found = {}
        for side, stack in (("source", "encoder"), ("target", "decoder")):
            part: Any = getattr(context.model, stack, None)
            if not all(hasattr(part, name) for name in ("position", "embed_tokens", "scale")):
                continue  # another library's model
            added = embedded = 0.0
            for batch in context.batches():
                ids = batch.input_ids if side == "source" else batch.decoder_input_ids  # [B, L]
                mask = batch.attention_mask if side == "source" else batch.labels.ge(0)  # [B, L]
                x = part.embed_tokens(ids) * part.scale  # [B, L, D]
                positions = torch.arange(ids.shape[1], device=ids.device)[None]  # [1, L]
                vectors = part.position.embed(x, positions) - x  # [B, L, D]
                added += _total_norm(vectors, mask)
                embedded += _total_norm(x, mask)
            if embedded:
                found[f"{side}_position_balance"] = added / embedded
        return found


def matrices(model: Any) -> dict[str, Tensor]:
    """Embedding and output matrices ``[V, D]`` by name, each tied one once."""
    decoder = model.get_decoder() if getattr(model.config, "is_encoder_decoder", False) else None
    parts = {
        "source": model.get_input_embeddings(),
        "target": getattr(decoder, "embed_tokens", None),
        "output": model.get_output_embeddings(),
    }
    found: dict[str, Tensor] = {}
    for name, part in parts.items():
        if part is not None and all(part.weight is not other for other in found.values()):
            found[name] = part.weight
    return found


def _total_norm(x: Tensor, mask: Tensor) -> float:
    return float(torch.linalg.vector_norm(x.double(), dim=-1).mul(mask != 0).sum())
