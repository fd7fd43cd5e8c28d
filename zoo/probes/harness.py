"""Measures the probes that a spec names, and sees to it that they change nothing that training depends on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from zoo.errors import InputError
from zoo.models.modes import evaluating
from zoo.models.seeding import own_randomness
from zoo.models.tokenizers import Tokenizers
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.spec.options import Chosen
from zoo.spec.sections import Spec
from zoo.tasks.contracts import Example, Progress, silent

Write = Callable[[Sequence[Example]], Sequence[str]]
"""What the model writes for each of these examples."""


@dataclass(frozen=True)
class Probed:
    """Scalars and series of all probes by ``<probe>.<name>``."""

    scalars: dict[str, float]
    series: dict[str, Series]


def refuse_unfit(model: Any, probes: Sequence[Chosen]) -> None:
    """Raise InputError where a probe cannot read `model`: before it is trained, not after."""
    of_images = getattr(model, "reads", "text") == "image"
    for chosen in probes:
        probe: Probe = chosen.create()
        if of_images and not probe.reads_images:
            raise InputError(
                f"the probe '{chosen.name}' reads sources that are texts, and the model's are images: "
                "leave it out of evaluation.probes"
            )
        probe.accept(model)


def measure_probes(
    model: Any,
    tokenizers: Tokenizers,
    probes: Sequence[Chosen],
    examples: Sequence[Example],
    *,
    max_tokens: int,
    write: Write,
    spec: Spec | None = None,
    step: int | None = None,
    progress: Progress = silent,
) -> Probed:
    """Measure each of `probes` on its sample of `examples`.

    `write` gives the outputs that some probes read; it is asked for the sample alone. Numbers that are not finite are
    left out: a record has no word for them. Raises InputError where a probe cannot read this model.
    """
    scalars: dict[str, float] = {}
    series: dict[str, Series] = {}
    for done, chosen in enumerate(probes):
        progress("probe", done, len(probes))
        found = measured(model, tokenizers, chosen, examples, max_tokens=max_tokens, write=write, spec=spec, step=step)
        scalars |= {f"{chosen.name}.{name}": float(value) for name, value in found.scalars.items()}
        series |= {f"{chosen.name}.{name}": item for name, item in found.series.items()}
    if probes:
        progress("probe", len(probes), len(probes))
    return Probed(
        {name: value for name, value in scalars.items() if math.isfinite(value)},
        {name: _finite(item) for name, item in series.items()},
    )


def measured(
    model: Any,
    tokenizers: Tokenizers,
    chosen: Chosen,
    examples: Sequence[Example],
    *,
    max_tokens: int,
    write: Write,
    spec: Spec | None = None,
    step: int | None = None,
) -> ProbeResult:
    """What one probe finds. The model's mode is put back; torch's own randomness is shut off from the probe."""
    probe: Probe = chosen.create()
    options = probe.options
    sample = drawn(examples, options.max_examples, options.sample_seed)
    with _own_randomness(model, options.sample_seed), evaluating(model, gradients=probe.needs_gradients):
        context = ProbeContext(
            model=model,
            tokenizers=tokenizers,
            examples=sample,
            options=options,
            max_tokens=max_tokens,
            generator=torch.Generator().manual_seed(options.sample_seed),
            outputs=tuple(write(sample)) if probe.reads == "outputs" else None,
            spec=spec,
            step=step,
        )
        return probe.measure(context)


def drawn(examples: Sequence[Example], count: int, seed: int) -> tuple[Example, ...]:
    """`count` of the examples, in their order. The choice hangs on their ids and the seed, not on their number: a
    larger sample holds every smaller one.
    """
    if count >= len(examples):
        return tuple(examples)
    names = [hashlib.sha256(f"{seed}:{example.id}".encode()).digest() for example in examples]
    chosen = sorted(sorted(range(len(names)), key=lambda place: (names[place], place))[:count])
    return tuple(examples[place] for place in chosen)


@contextmanager
def _own_randomness(model: Any, seed: int) -> Iterator[None]:
    """Torch's randomness, which decoding may draw from, seeded for the block and put back behind it."""
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), own_randomness(seed):
        if devices:
            torch.cuda.manual_seed(seed)
        yield


def _finite(series: Series) -> Series:
    lines = {
        name: tuple(None if value is None or not math.isfinite(value) else float(value) for value in values)
        for name, values in series.lines.items()
    }
    return replace(series, lines=lines)
