"""What the decoder's cross-attention looks at, by class of token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.probes.batches import MeanLoss, ProbeBatch, log_probabilities_of, real
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.probes.reading import CrossAttention, cross_attention, decoder_logits, encoded, encoder_of
from zoo_probes.options import CrossAttentionMassOptions
from zoo_probes.token_classes import CLASSES, TokenClasses


class CrossAttentionMass(Probe):
    """Attention mass by class of source token, mean over layers, heads and target tokens.

    - ``<class>``: raw mass, sum over the class's tokens of a_ts;
    - ``<class>_weighted``: the same of a_ts ||v_s|| / sum_s' a_ts' ||v_s'||, where v_s = W_V h_s is a head's value:
      what the attention moves (Kobayashi et al. 2020, arXiv:2004.10102, section 3; without their output matrix).
      A sink holds raw mass and little of this;
    - ``<class>_uniform``: the share that a look at every token alike would give;
    - ``sink_loss_change``: by how much the loss of the references rises, in nats per token, when cross-attention does
      not see the tokens of the classes `sink`. Sources that hold nothing else are left as they are.

    Mass on tokens such as the end of the sentence is called a sink (Xiao et al. 2023, arXiv:2309.17453).
    """

    options: CrossAttentionMassOptions

    def accept(self, model: Any) -> None:
        encoder_of(model, "cross-attention-mass")

    def measure(self, context: ProbeContext) -> ProbeResult:
        classes = TokenClasses(context.tokenizers.source, context.special_ids, context.tag_ids)
        mass = ClassMass()
        taken = log_probabilities_of(context.model)
        whole, without = MeanLoss(log_probabilities=taken), MeanLoss(log_probabilities=taken)
        for batch in context.batches():
            places = classes(batch.input_ids)  # [B, S]
            mass.add(cross_attention(context.model, batch), places, batch.attention_mask, real(batch.labels))
            self._ablate(context.model, batch, places, whole, without)
        scalars, series = mass.result()
        if series:
            scalars["sink_loss_change"] = without.value - whole.value
        return ProbeResult(scalars, series)

    def _ablate(self, model: Any, batch: ProbeBatch, places: Tensor, whole: MeanLoss, without: MeanLoss) -> None:
        sinks = torch.tensor([CLASSES.index(name) for name in self.options.sink], device=places.device)
        memory = encoded(model, batch)
        mask = batch.attention_mask
        rest = mask * ~torch.isin(places, sinks)  # [B, S]
        rest = torch.where(rest.any(dim=1, keepdim=True), rest, mask)  # [B, S]
        whole.add(decoder_logits(model, batch, memory, mask), batch.labels)
        without.add(decoder_logits(model, batch, memory, rest), batch.labels)


class ClassMass:
    """Sums over target tokens, by layer and class."""

    def __init__(self) -> None:
        self._raw: Tensor | float = 0.0  # [layers, C]
        self._weighted: Tensor | float = 0.0  # [layers, C]
        self._uniform: Tensor | float = 0.0  # [C]
        self._tokens = 0

    def add(self, layers: list[CrossAttention], classes: Tensor, source: Tensor, target: Tensor) -> None:
        """Count a batch: classes ``[B, S]``, real source tokens ``[B, S]``, real target tokens ``[B, T]``."""
        member = F.one_hot(classes, len(CLASSES)).double() * source.ne(0)[..., None]  # [B, S, C]
        raw, weighted = [], []
        for layer in layers:
            seen = layer.weights.double()  # [B, H, T, S]
            moved = seen * torch.linalg.vector_norm(layer.values.double(), dim=-1)[:, :, None]  # [B, H, T, S]
            total = moved.sum(dim=-1, keepdim=True)  # [B, H, T, 1]
            share = torch.where(total > 0, moved / total, seen)  # [B, H, T, S]
            raw.append(_by_class(seen, member, target))  # [C]
            weighted.append(_by_class(share, member, target))  # [C]
        counts = member.sum(dim=1)  # [B, C]
        even = counts / counts.sum(dim=1, keepdim=True)  # [B, C]
        self._raw = self._raw + torch.stack(raw)  # [layers, C]
        self._weighted = self._weighted + torch.stack(weighted)  # [layers, C]
        self._uniform = self._uniform + (even * target.sum(dim=1, keepdim=True)).sum(dim=0).cpu()  # [C]
        self._tokens += int(target.sum())

    def result(self) -> tuple[dict[str, float], dict[str, Series]]:
        """Scalars and series; nothing where no token was counted. Classes without a token are left out."""
        if not self._tokens or not all(isinstance(t, Tensor) for t in (self._raw, self._weighted, self._uniform)):
            return {}, {}
        raw, weighted, uniform = (
            part / self._tokens for part in (self._raw, self._weighted, self._uniform) if isinstance(part, Tensor)
        )
        present = [place for place in range(len(CLASSES)) if uniform[place] > 0]
        names = tuple(CLASSES[place] for place in present)
        scalars: dict[str, float] = {}
        for place, name in zip(present, names, strict=True):
            scalars[name] = float(raw[:, place].mean())
            scalars[f"{name}_weighted"] = float(weighted[:, place].mean())
            scalars[f"{name}_uniform"] = float(uniform[place])
        depths = tuple(range(1, len(raw) + 1))

        def by_layer(part: Tensor, unit: str) -> Series:
            lines = {name: part[:, place].tolist() for place, name in zip(present, names, strict=True)}
            return Series("decoder layer", unit, depths, lines)

        by_class = Series(
            "class of source token",
            "share of cross-attention",
            names,
            {
                "raw": [scalars[name] for name in names],
                "value-norm weighted": [scalars[f"{name}_weighted"] for name in names],
                "if all tokens had the same": [scalars[f"{name}_uniform"] for name in names],
            },
        )
        return scalars, {
            "by_class": by_class,
            "raw_by_layer": by_layer(raw, "share of cross-attention"),
            "weighted_by_layer": by_layer(weighted, "share, value-norm weighted"),
        }


def _by_class(weights: Tensor, member: Tensor, target: Tensor) -> Tensor:
    """Weights ``[B, H, T, S]`` summed over the real target tokens, averaged over heads: ``[C]``."""
    mass = torch.einsum("bhts,bsc,bt->hc", weights, member, target.double())  # [H, C]
    return mass.mean(dim=0).cpu()  # [C]
