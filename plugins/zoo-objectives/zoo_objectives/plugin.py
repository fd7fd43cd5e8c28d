"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="token-loss",
        name="cross-entropy",
        target="zoo_objectives.cross_entropy:CrossEntropy",
        summary="Negative log-probability of the target token",
    )
    yield Component(
        kind="token-loss",
        name="label-smoothing",
        target="zoo_objectives.label_smoothing:LabelSmoothing",
        options="zoo_objectives.options:LabelSmoothingOptions",
        summary="Cross-entropy against the target mixed with the uniform distribution",
        references=("arXiv:1512.00567", "arXiv:1706.03762"),
    )
