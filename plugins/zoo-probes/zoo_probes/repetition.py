"""How much of an output repeats what the output said before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.measure.collapse import words
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo_probes.options import RepetitionOptions


class Repetition(Probe):
    """rep-n: the share of an output's n-grams that occurred earlier in the same output, n = 1 to 4.

    seq-rep-n of Welleck et al. 2020 (arXiv:1908.04319, evaluation metrics): 1 - |different n-grams| / |n-grams|,
    averaged over the outputs that are long enough to have one. ``reference_rep_n`` is the same of the references:
    language repeats itself, too.
    """

    reads = "outputs"
    reads_images = True
    options: RepetitionOptions

    def measure(self, context: ProbeContext) -> ProbeResult:
        assert context.outputs is not None
        written = {
            "rep": [self._units(context.tokenizers.target, text) for text in context.outputs],
            "reference_rep": [self._units(context.tokenizers.target, example.target) for example in context.examples],
        }
        sizes = tuple(range(1, self.options.largest + 1))
        found = {name: [repeated_share(texts, n) for n in sizes] for name, texts in written.items()}
        scalars = {
            f"{name}_{n}": value
            for name, values in found.items()
            for n, value in zip(sizes, values, strict=True)
            if value is not None
        }
        lines = {"outputs": found["rep"], "references": found["reference_rep"]}
        return ProbeResult(scalars, {"by_length": Series("n", "share of repeated n-grams", sizes, lines)})

    def _units(self, tokenizer: Any, text: str) -> Sequence[Any]:
        if self.options.unit == "word":
            return words(text)
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def repeated_share(texts: Sequence[Sequence[Any]], n: int) -> float | None:
    """Mean over texts of n units or more of 1 - |different n-grams| / |n-grams|; None where there is no such text."""
    shares = []
    for units in texts:
        grams = [tuple(units[start : start + n]) for start in range(len(units) - n + 1)]
        if grams:
            shares.append(1 - len(set(grams)) / len(grams))
    return sum(shares) / len(shares) if shares else None
