"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="optimizer",
        name="adamw",
        target="zoo_optimizers.adamw:AdamW",
        options="zoo_optimizers.options:AdamWOptions",
        summary="Adam with decoupled weight decay",
        references=("arXiv:1412.6980", "arXiv:1711.05101"),
        traits={"state_per_parameter": 2.0},
    )
    yield Component(
        kind="optimizer",
        name="adafactor",
        target="zoo_optimizers.adafactor:Adafactor",
        options="zoo_optimizers.options:AdafactorOptions",
        summary="Adafactor with an external learning rate: factored second moments and update clipping",
        references=("arXiv:1804.04235",),
        traits={"clips_updates": True},
    )
    yield Component(
        kind="clipping",
        name="norm",
        target="zoo_optimizers.clipping:NormClipping",
        options="zoo_optimizers.options:NormClippingOptions",
        summary="Scale all gradients down together where their global L2 norm exceeds a bound",
        references=("arXiv:1211.5063",),
    )
    yield Component(
        kind="clipping",
        name="none",
        target="zoo_optimizers.clipping:NoClipping",
        summary="Leave gradients as they are; their global L2 norm is still reported",
    )
    yield Component(
        kind="schedule",
        name="inverse-sqrt",
        target="zoo_optimizers.schedules:InverseSqrt",
        options="zoo_optimizers.options:InverseSqrtOptions",
        summary="Linear warm-up, then decay with the inverse square root of the step",
        references=("arXiv:1706.03762",),
    )
    yield Component(
        kind="schedule",
        name="cosine",
        target="zoo_optimizers.schedules:Cosine",
        options="zoo_optimizers.options:CosineOptions",
        summary="Linear warm-up, then half a cosine down to a floor",
        references=("arXiv:1608.03983",),
    )
    yield Component(
        kind="schedule",
        name="constant",
        target="zoo_optimizers.schedules:Constant",
        options="zoo_optimizers.options:ConstantOptions",
        summary="The optimizer's learning rate throughout, after an optional linear warm-up",
    )
