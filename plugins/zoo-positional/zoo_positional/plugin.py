"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_positional.options"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="position",
        name="none",
        target="zoo_positional.none:NoPosition",
        summary="No positions: attention sees a bag of tokens, but for the causal mask",
        references=("arXiv:2203.16634",),
        traits={"where": "none", "cache": "plain"},
    )
    yield Component(
        kind="position",
        name="sinusoidal",
        target="zoo_positional.sinusoidal:Sinusoidal",
        options=f"{_OPTIONS}:SinusoidalOptions",
        summary="Fixed sines and cosines added to the embeddings",
        references=("arXiv:1706.03762",),
        traits={"where": "embedding", "cache": "plain"},
    )
    yield Component(
        kind="position",
        name="learned",
        target="zoo_positional.learned:Learned",
        options=f"{_OPTIONS}:LearnedOptions",
        summary="One trained vector per position, added to the embeddings",
        references=("arXiv:1705.03122",),
        traits={"where": "embedding", "cache": "plain"},
    )
    yield Component(
        kind="position",
        name="rotary",
        target="zoo_positional.rotary:Rotary",
        options=f"{_OPTIONS}:RotaryOptions",
        summary="Queries and keys turned by an angle proportional to their position",
        references=("arXiv:2104.09864",),
        traits={"where": "attention", "cache": "rotated"},
    )
    yield Component(
        kind="position",
        name="alibi",
        target="zoo_positional.alibi:Alibi",
        options=f"{_OPTIONS}:AlibiOptions",
        summary="A penalty on attention logits that grows linearly with distance, the same in both directions",
        references=("arXiv:2108.12409",),
        traits={"where": "attention", "cache": "plain"},
    )
