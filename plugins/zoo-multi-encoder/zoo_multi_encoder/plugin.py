"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_COMBINED = "zoo_multi_encoder.options:CombinedOptions"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="context-encoder",
        name="outside",
        target="zoo_multi_encoder.outside:Outside",
        options=_COMBINED,
        summary="The encoder's output attends to the context; a gate puts both together for the decoder",
        references=("arXiv:2005.03393", "https://github.com/libeineu/Context-Aware"),
    )
    yield Component(
        kind="context-encoder",
        name="inside",
        target="zoo_multi_encoder.inside:Inside",
        options=_COMBINED,
        summary="Every decoder layer attends to source and context; a gate puts both together",
        references=("arXiv:2005.03393", "https://github.com/libeineu/Context-Aware"),
    )
    yield Component(
        kind="context-encoder",
        name="gated",
        target="zoo_multi_encoder.gated:Gated",
        options="zoo.spec.context:ContextOptions",
        summary="A last encoder layer with a gate between attention to the source and attention to the context",
        references=("arXiv:1805.10163",),
    )
