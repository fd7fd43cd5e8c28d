"""How much of an output repeats what the output said before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zoo.errors import InputError
from zoo.measure.collapse import words
from zoo.measure.generation import generate_outputs
from zoo.measure.reading import source_of
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.spec.sections import Spec
from zoo.tasks import Example
from zoo.tasks.fitting import fitted
from zoo_probes.options import RepetitionOptions


class Repetition(Probe):
    """rep-n: the share of an output's n-grams that occurred earlier in the same output, n = 1 to 4.

    seq-rep-n of Welleck et al. 2020 (arXiv:1908.04319, evaluation metrics): 1 - |different n-grams| / |n-grams|,
    averaged over the outputs that are long enough to have one. ``reference_rep_n`` is the same of the references:
    language repeats itself, too. ``fragment_rep_n`` is that of what the model writes for sources that break off, such
    as its training data has none of; asked for by the option `fragment`, of a model with a spec to decode by.
    """

    reads = "outputs"
    reads_images = True
    options: RepetitionOptions

    def accept(self, model: Any) -> None:
        if self.options.fragment is not None and getattr(model, "reads", "text") == "image":
            raise InputError("the probe 'repetition' breaks no images off: leave its option 'fragment' out")

    def measure(self, context: ProbeContext) -> ProbeResult:
        assert context.outputs is not None
        texts: dict[str, Sequence[str]] = {
            "rep": context.outputs,
            "reference_rep": [example.target for example in context.examples],
        }
        if self.options.fragment is not None and context.spec is not None:
            texts["fragment_rep"] = self._written_for_fragments(context, context.spec, self.options.fragment)
        written = {
            name: [self._units(context.tokenizers.target, text) for text in some] for name, some in texts.items()
        }
        sizes = tuple(range(1, self.options.largest + 1))
        found = {name: [repeated_share(some, n) for n in sizes] for name, some in written.items()}
        scalars = {
            f"{name}_{n}": value
            for name, values in found.items()
            for n, value in zip(sizes, values, strict=True)
            if value is not None
        }
        told = {"rep": "outputs", "reference_rep": "references", "fragment_rep": "outputs for fragments"}
        lines = {told[name]: values for name, values in found.items()}
        return ProbeResult(scalars, {"by_length": Series("n", "share of repeated n-grams", sizes, lines)})

    def _written_for_fragments(self, context: ProbeContext, spec: Spec, share: float) -> Sequence[str]:
        limit = context.model.source_limit(spec.decoding.max_new_tokens)
        cut = [broken_off(example, share) for example in context.examples]
        sources = [source_of(example) for example in fitted(context.tokenizers.source, cut, limit)]
        return generate_outputs(
            context.model, context.tokenizers, sources, spec.decoding, max_source_tokens=limit
        ).outputs

    def _units(self, tokenizer: Any, text: str) -> Sequence[Any]:
        if self.options.unit == "word":
            return words(text)
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def broken_off(example: Example, share: float) -> Example:
    """`example` with the first `share` of its source's characters, one at least, up to the last whole word; its tag is
    kept, and counts as none of them.
    """
    head = "" if example.tag is None else f"{example.tag} "
    text = example.source.removeprefix(head)
    end = max(1, int(share * len(text)))
    kept = text[:end]
    if not text[end : end + 1].isspace():
        # Without the word that is cut, unless it is the only one.
        kept = " ".join(kept.split(" ")[:-1]) or kept
    # Of a source that was cut no line of context is to be left out again.
    lines = 0 if example.context is None else example.context_lines
    return replace(example, source=head + kept.rstrip(), context_lines=lines)


def repeated_share(texts: Sequence[Sequence[Any]], n: int) -> float | None:
    """Mean over texts of n units or more of 1 - |different n-grams| / |n-grams|; None where there is no such text."""
    shares = []
    for units in texts:
        grams = [tuple(units[start : start + n]) for start in range(len(units) - n + 1)]
        if grams:
            shares.append(1 - len(set(grams)) / len(grams))
    return sum(shares) / len(shares) if shares else None
