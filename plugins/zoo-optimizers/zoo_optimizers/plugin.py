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
        traits={
            "state_per_parameter": 2.0,
            "second_moment": "exp_avg_sq",
            "default_clipping": {"use": "zoo-optimizers/norm", "max_norm": 1.0},
        },
    )
    yield Component(
        kind="optimizer",
        name="adafactor",
        target="zoo_optimizers.adafactor:Adafactor",
        options="zoo_optimizers.options:AdafactorOptions",
        summary="Adafactor with an external learning rate: factored second moments and update clipping",
        references=("arXiv:1804.04235",),
        traits={"clips_updates": True, "default_clipping": {"use": "zoo-optimizers/none"}},
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
        traits={"clips": False},
    )
    yield Component(
        kind="clipping",
        name="value",
        target="zoo_optimizers.clipping:ValueClipping",
        options="zoo_optimizers.clipping_options:ValueClippingOptions",
        summary="Cut every element of a gradient off at a bound",
    )
    yield Component(
        kind="clipping",
        name="adaptive",
        target="zoo_optimizers.clipping:AdaptiveClipping",
        options="zoo_optimizers.clipping_options:AdaptiveClippingOptions",
        summary="Scale a unit's gradient down where it is large beside the unit's weights (AGC)",
        references=("arXiv:2102.06171",),
    )
    yield Component(
        kind="clipping",
        name="per-group",
        target="zoo_optimizers.per_group_clipping:PerGroupClipping",
        options="zoo_optimizers.clipping_options:PerGroupClippingOptions",
        summary="Clip embeddings, output, attention, feed-forward, norms and the rest each by its own norm",
    )
    yield Component(
        kind="update-clipping",
        name="rms",
        target="zoo_optimizers.update_clipping:RmsUpdateClipping",
        options="zoo_optimizers.clipping_options:RmsUpdateClippingOptions",
        summary="Take a tensor's step smaller where its gradient is large beside its second moment (StableAdamW)",
        references=("arXiv:2304.13013", "arXiv:1804.04235"),
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
    yield Component(
        kind="schedule",
        name="linear",
        target="zoo_optimizers.schedules:Linear",
        options="zoo_optimizers.schedule_options:LinearOptions",
        summary="Linear warm-up, then a straight line down to a floor",
        references=("arXiv:1810.04805",),
    )
    yield Component(
        kind="schedule",
        name="warmup-stable-decay",
        target="zoo_optimizers.schedules:WarmupStableDecay",
        options="zoo_optimizers.schedule_options:WarmupStableDecayOptions",
        summary="Linear warm-up, a flat stretch, and a decay over the last share of the steps",
        references=("arXiv:2404.06395", "arXiv:2405.18392"),
    )
    yield Component(
        kind="schedule",
        name="cyclic",
        target="zoo_optimizers.schedules:Cyclic",
        options="zoo_optimizers.schedule_options:CyclicOptions",
        summary="Falls from the peak in cycles, for averages of the weights at their ends (SWA)",
        references=("arXiv:1803.05407", "arXiv:1506.01186", "arXiv:1608.03983"),
    )
