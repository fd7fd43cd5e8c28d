"""Character error rate by groups of examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError
from zoo.statistics import percentile_interval
from zoo.tasks import Example, Items, Metric
from zoo_tasks_text.metrics.cer import Cer
from zoo_tasks_text.metrics.error_rate import error_rates
from zoo_tasks_text.metrics.options import CerByStratumOptions


class CerByStratum(Metric):
    """The value is the rate of all examples that have a reference; the details have it by stratum.

    Examples without text count nowhere here: what is written for them is the metric `hallucination`'s. An item is
    edits, reference characters, and the code points of the stratum's name.
    """

    options: CerByStratumOptions
    name = "cer-by-stratum"
    direction = "lower"
    unit = "fraction"

    @property
    def signature(self) -> str:
        return f"{self._cer.signature}|by:{','.join(self.options.by)}|empty:left-out"

    @property
    def _cer(self) -> Cer:
        return Cer(self.options)

    def accept(self, examples: Sequence[Example]) -> None:
        """Raises InputError where no example says what it is grouped by."""
        missing = [key for key in self.options.by if not any(key in example.strata for example in examples)]
        if missing:
            there = sorted({key for example in examples for key in example.strata})
            raise InputError(
                f"metric {self.name}: none of {len(examples)} examples has the stratum '{missing[0]}'; they have "
                + (", ".join(there) if there else "no strata")
            )

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        """Texts alone are of no stratum."""
        rows = self._cer.items(outputs, references, sources)
        return [row if row[1] else np.zeros(2) for row in rows]

    def example_items(self, outputs: Sequence[str], examples: Sequence[Example]) -> Items:
        """Edits, reference characters, and where the example belongs."""
        rows = self.items(outputs, [item.target for item in examples], [item.translated for item in examples])
        return [np.concatenate([row, self._stratum(example)]) for row, example in zip(rows, examples, strict=True)]

    def combined(self, items: Items, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[B]``; 0 where no chosen example has a reference."""
        return error_rates(weights @ np.stack([item[:2] for item in items]))  # [B]

    def segments(self, items: Items) -> NDArray[np.float64]:
        """NaN where an example has no reference."""
        sums = np.stack([item[:2] for item in items])  # [N, 2]
        return np.where(sums[:, 1] > 0, error_rates(sums), np.nan)

    def interval(self, items: Items) -> tuple[float, float]:
        return percentile_interval(
            len(items),
            lambda weights: self.combined(items, weights),
            resamples=self.options.resamples,
            seed=self.options.seed,
        )

    def details(self, items: Items) -> Mapping[str, Any]:
        """``by_stratum``: rate, examples and reference characters of each by its name; ``worst``: a name."""
        groups: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
        for item in items:
            if item[1]:
                groups["".join(map(chr, item[2:].astype(int)))].append(item[:2])
        found = {}
        for name in sorted(groups, key=_natural):
            edits, characters = np.sum(groups[name], axis=0)
            found[name] = {
                "cer": float(edits / characters),
                "examples": len(groups[name]),
                "characters": int(characters),
            }
        worst = max(found, key=lambda name: found[name]["cer"], default=None)
        return {"by_stratum": found, "worst": worst}

    def _stratum(self, example: Example) -> NDArray[np.float64]:
        name = ", ".join(f"{key} {example.strata.get(key, '-')}" for key in self.options.by)
        return np.array([ord(character) for character in name], np.float64)


def _natural(name: str) -> list[tuple[int, float, str]]:
    """By numbers where there are some: 8 before 16, 5-15 before 15-40."""
    parts = name.replace(",", " ").replace("-", " ").split()
    return [(0, float(part), "") if part.replace(".", "", 1).isdigit() else (1, 0.0, part) for part in parts]
