"""Whether the encoder tells a sentence from its reverse."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.probes.contracts import Probe, ProbeContext, ProbeResult
from zoo.probes.reading import encoder_of, encoder_states
from zoo_probes.relative import RelativeDifference


class Reversal(Probe):
    """How far the states of a sentence are from those of its reverse, turned back.

    ``difference`` = mean over source tokens of ||R h(R x) - h(x)|| / ||h(x)|| in the top layer, where R reverses the
    real tokens, the end token among them. 0 means that the encoder is equivariant to reversal: a sentence and its
    reverse look alike to the decoder, as under symmetric ALiBi alone or without positions.
    """

    def accept(self, model: Any) -> None:
        encoder_of(model, "reversal")

    def measure(self, context: ProbeContext) -> ProbeResult:
        encoder = context.model.get_encoder()
        found = RelativeDifference()
        for batch in context.batches():
            places = reversed_places(batch.attention_mask)  # [B, S]
            states = encoder_states(encoder, batch)  # [B, L, S, D]
            turned = encoder_states(encoder, batch.with_source(batch.input_ids.gather(1, places)))  # [B, L, S, D]
            back = turned.gather(2, places[:, None, :, None].expand_as(turned))  # [B, L, S, D]
            found.add(back, states, batch.attention_mask)
        return found.result()


def reversed_places(mask: Tensor) -> Tensor:
    """Where each real token of right-padded rows comes from when they are reversed: mask ``[B, S]`` -> ``[B, S]``."""
    places = torch.arange(mask.shape[1], device=mask.device)  # [S]
    lengths = mask.ne(0).sum(dim=1, keepdim=True)  # [B, 1]
    return torch.where(places < lengths, lengths - 1 - places, places)  # [B, S]
