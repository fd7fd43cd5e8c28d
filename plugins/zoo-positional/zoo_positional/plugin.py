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
        summary="Queries and keys, by option values too, turned by an angle proportional to their position",
        references=("arXiv:2104.09864", "arXiv:2606.11275"),
        traits={"where": "attention", "cache": "rotated"},
    )
    yield Component(
        kind="position",
        name="alibi",
        target="zoo_positional.alibi:Alibi",
        options=f"{_OPTIONS}:AlibiOptions",
        summary="A penalty on attention logits that grows linearly with distance, alike or unlike in both directions",
        references=("arXiv:2108.12409", "https://github.com/marian-nmt/marian-dev"),
        traits={"where": "attention", "cache": "plain"},
    )
    yield Component(
        kind="position",
        name="shape",
        target="zoo_positional.shape:Shape",
        options=f"{_OPTIONS}:ShapeOptions",
        summary="Sinusoidal positions that training shifts by a random offset for each sequence",
        references=("arXiv:2109.05644",),
        traits={"where": "embedding", "cache": "plain", "example": {"evaluation_offset": 500}},
    )
    yield Component(
        kind="position",
        name="shaw",
        target="zoo_positional.shaw:Shaw",
        options=f"{_OPTIONS}:ShawOptions",
        summary="A trained vector for each clipped distance, beside keys and values",
        references=("arXiv:1803.02155",),
        traits={"where": "attention", "cache": "plain"},
    )
    yield Component(
        kind="position",
        name="t5",
        target="zoo_positional.t5:T5",
        options=f"{_OPTIONS}:T5Options",
        summary="A trained bias for each head and bucket of the distance, shared by the layers",
        references=("arXiv:1910.10683",),
        traits={"where": "attention", "cache": "plain"},
    )
    yield Component(
        kind="position",
        name="p-transformer",
        target="zoo_positional.p_transformer:PTransformer",
        options=f"{_OPTIONS}:PTransformerOptions",
        summary="Sinusoids in the queries and keys of every layer, but not the values; beside them, relative positions",
        references=("arXiv:2212.05830",),
        traits={"where": "attention", "cache": "plain"},
    )
    yield Component(
        kind="position",
        name="deberta",
        target="zoo_positional.deberta:Deberta",
        options=f"{_OPTIONS}:DebertaOptions",
        summary="Disentangled attention: content to position and position to content",
        references=("arXiv:2006.03654",),
        traits={"where": "attention", "cache": "plain"},
    )
    yield Component(
        kind="position",
        name="transformer-xl",
        target="zoo_positional.transformer_xl:TransformerXl",
        options=f"{_OPTIONS}:TransformerXlOptions",
        summary="Sinusoids of the distance against the query, and two trained biases, on attention logits",
        references=("arXiv:1901.02860",),
        traits={"where": "attention", "cache": "plain"},
    )
    yield Component(
        kind="position",
        name="sum",
        target="zoo_positional.sum:Sum",
        options=f"{_OPTIONS}:SumOptions",
        summary="Several schemes at once, such as absolute and relative positions together",
        references=("arXiv:1803.02155",),
        traits={"where": "members", "cache": "members", "example": {"of": ["sinusoidal", "shaw"]}},
    )
