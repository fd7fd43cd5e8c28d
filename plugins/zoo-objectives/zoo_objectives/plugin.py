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
    yield Component(
        kind="token-loss",
        name="ent",
        target="zoo_objectives.ent:Ent",
        options="zoo_objectives.options:EntOptions",
        summary="Error norm truncation: target tokens in whose place the model is sure of another do not count",
        references=("arXiv:2310.00840",),
        traits={"example": {"threshold": 1.3}},
    )
    yield Component(
        kind="token-loss",
        name="r-drop",
        target="zoo_objectives.r_drop:RDrop",
        options="zoo_objectives.options:RDropOptions",
        summary="Two passes with dropout are to give the same distribution",
        references=("arXiv:2106.14448",),
    )
    yield Component(
        kind="token-loss",
        name="unlikelihood",
        target="zoo_objectives.unlikelihood:Unlikelihood",
        options="zoo_objectives.options:UnlikelihoodOptions",
        summary="Tokens that stood earlier in the target are to be unlikely",
        references=("arXiv:1908.04319",),
    )
    yield Component(
        kind="token-loss",
        name="z-loss",
        target="zoo_objectives.z_loss:ZLoss",
        options="zoo_objectives.options:ZLossOptions",
        summary="Keeps the logarithm of the logits' normaliser near zero",
        references=("arXiv:2204.02311",),
    )
