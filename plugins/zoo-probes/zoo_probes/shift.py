"""Whether encoder states know where the sentence begins to count."""

from __future__ import annotations

from typing import Any

from zoo.errors import InputError
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult
from zoo.probes.reading import encoder_of, encoder_states, takes_positions
from zoo_probes.options import ShiftOptions
from zoo_probes.relative import RelativeDifference


class Shift(Probe):
    """How far encoder states move when every position grows by a constant (what SHAPE trains against: Kiyono et al.
    2021, arXiv:2109.05644).

    ``difference`` = mean over source tokens of ||h(p + offset) - h(p)|| / ||h(p)|| in the top layer. Relative schemes
    give 0 up to rounding, absolute ones do not. Where a table of positions ends, sources are cut so that they fit.
    """

    options: ShiftOptions

    def accept(self, model: Any) -> None:
        encoder = encoder_of(model, "shift")
        if not takes_positions(encoder):
            raise InputError(f"the probe 'shift' cannot move the positions of {type(encoder).__name__}")
        limit = _limit(encoder)
        if limit is not None and limit <= self.options.offset:
            raise InputError(
                f"the probe 'shift' moves positions by {self.options.offset}, but the encoder's table of positions "
                f"ends at {limit}: set its offset below that"
            )

    def measure(self, context: ProbeContext) -> ProbeResult:
        encoder, offset = context.model.get_encoder(), self.options.offset
        limit = _limit(encoder)
        found = RelativeDifference()
        for batch in context.batches():
            if limit is not None:
                room = limit - offset
                batch = batch.with_source(batch.input_ids[:, :room], batch.attention_mask[:, :room])  # [B, <= room]
            positions = batch.attention_mask.cumsum(-1).sub(1).clamp_min(0)  # [B, S]
            states = encoder_states(encoder, batch, positions)  # [B, L, S, D]
            moved = encoder_states(encoder, batch, positions + offset)  # [B, L, S, D]
            found.add(moved, states, batch.attention_mask)
        return found.result()


def _limit(encoder: Any) -> int | None:
    limit: int | None = getattr(getattr(encoder, "position", None), "position_limit", None)
    return limit
