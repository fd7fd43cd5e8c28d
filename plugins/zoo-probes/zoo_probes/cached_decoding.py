"""Whether decoding token by token from a cache is what the model was trained to do."""

from __future__ import annotations

from typing import Any

import torch

from zoo.probes.batches import real, target_logits
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.probes.reading import cached_logits, encoder_of, is_sequence


class CachedDecoding(Probe):
    """The largest difference between the logits of one pass over the reference and those decoded from a cache.

    ``largest_difference`` in logits; ``relative`` is that over the standard deviation of all logits. Rounding gives
    1e-5 or so in float32; more is a scheme whose cached step is not the step it was trained with (a bias looked up at
    the wrong offset, keys rotated twice): the model then fails in `generate` alone, which looks like collapse.
    """

    def accept(self, model: Any) -> None:
        if not is_sequence(model):
            encoder_of(model, "cached-decoding")

    def measure(self, context: ProbeContext) -> ProbeResult:
        by_step: list[float] = []
        total = squares = 0.0
        count = 0
        for batch in context.batches():
            whole = target_logits(context.model, batch).double()  # [B, T, V]
            shown = real(batch.labels)  # [B, T]
            for step, logits in enumerate(cached_logits(context.model, batch)):  # [B, V]
                rows = shown[:, step]  # [B]
                if not rows.any():
                    break
                apart = (logits.double() - whole[:, step])[rows].abs().max()  # []
                by_step += [0.0] * (step + 1 - len(by_step))
                # NaN passes through torch's maximum, as it must.
                by_step[step] = float(torch.maximum(apart, torch.tensor(by_step[step]).to(apart)))
            chosen = whole[shown]  # [M, V]
            total, squares, count = (
                total + float(chosen.sum()),
                squares + float(chosen.square().sum()),
                (count + chosen.numel()),
            )
        if not by_step:
            return ProbeResult()
        deviation = max(0.0, squares / count - (total / count) ** 2) ** 0.5
        largest = float(torch.tensor(by_step, dtype=torch.float64).max())
        scalars = {"largest_difference": largest}
        if deviation > 0:
            scalars["relative"] = largest / deviation
        series = Series("target step", "largest difference of logits", tuple(range(len(by_step))), {"cached": by_step})
        return ProbeResult(scalars, {"by_step": series})
