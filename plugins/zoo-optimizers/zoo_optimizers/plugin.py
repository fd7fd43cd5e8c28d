"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_NORM = {"use": "zoo-optimizers/norm", "max_norm": 1.0}
_NONE = {"use": "zoo-optimizers/none"}
"""For optimizers that bound their own updates, or whose gradients are gone before they could be clipped."""


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
            "default_clipping": _NORM,
        },
    )
    yield Component(
        kind="optimizer",
        name="adafactor",
        target="zoo_optimizers.adafactor:Adafactor",
        options="zoo_optimizers.options:AdafactorOptions",
        summary="Adafactor: factored second moments and update clipping, with the schedule's rate or the paper's",
        references=("arXiv:1804.04235",),
        traits={"clips_updates": True, "default_clipping": _NONE},
    )
    yield Component(
        kind="optimizer",
        name="sgd",
        target="zoo_optimizers.sgd:Sgd",
        options="zoo_optimizers.optimizer_options:SgdOptions",
        summary="Stochastic gradient descent with momentum",
        references=("doi:10.1214/aoms/1177729586", "https://proceedings.mlr.press/v28/sutskever13.html"),
        traits={"default_clipping": _NORM, "state_per_parameter": 1.0},
    )
    yield Component(
        kind="optimizer",
        name="lion",
        target="zoo_optimizers.lion:Lion",
        options="zoo_optimizers.optimizer_options:LionOptions",
        summary="The sign of a momentum: every number moves by the learning rate",
        references=("arXiv:2302.06675",),
        traits={"default_clipping": _NORM, "state_per_parameter": 1.0},
    )
    yield Component(
        kind="optimizer",
        name="stable-adamw",
        target="zoo_optimizers.stable_adamw:StableAdamW",
        options="zoo_optimizers.optimizer_options:StableAdamWOptions",
        summary="AdamW with Adafactor's update clipping",
        references=("arXiv:2304.13013",),
        traits={"default_clipping": _NONE, "clips_updates": True, "state_per_parameter": 2.0},
    )
    yield Component(
        kind="optimizer",
        name="muon",
        target="zoo_optimizers.muon:Muon",
        options="zoo_optimizers.optimizer_options:MuonOptions",
        summary="Orthogonalised momentum for the layers' matrices, AdamW for everything else",
        references=("https://kellerjordan.github.io/posts/muon", "arXiv:2502.16982"),
        traits={"default_clipping": _NORM, "requires": "torch>=2.9"},
    )
    yield Component(
        kind="optimizer",
        name="adam-mini",
        target="zoo_optimizers.adam_mini:AdamMini",
        options="zoo_optimizers.optimizer_options:AdamMiniOptions",
        summary="AdamW with one second moment for a head, a row or a vector",
        references=("arXiv:2406.16793",),
        traits={"default_clipping": _NORM, "state_per_parameter": 1.0},
    )
    yield Component(
        kind="optimizer",
        name="schedule-free",
        target="zoo_optimizers.schedule_free:ScheduleFree",
        options="zoo_optimizers.optimizer_options:ScheduleFreeOptions",
        summary="AdamW that serves an average of its iterates in place of a decaying learning rate",
        references=("arXiv:2405.15682",),
        traits={"default_clipping": _NORM, "state_per_parameter": 2.0},
    )
    yield Component(
        kind="optimizer",
        name="galore",
        target="zoo_optimizers.galore:GaLore",
        options="zoo_optimizers.optimizer_options:GaLoreOptions",
        summary="AdamW on gradients projected to a low rank; on request layer by layer in the backward pass",
        references=("arXiv:2403.03507",),
        traits={"default_clipping": _NONE, "example": {"rank": 4, "update_gap": 2}},
    )
    yield Component(
        kind="optimizer",
        name="adamw-8bit",
        target="zoo_optimizers.adamw_8bit:AdamW8bit",
        options="zoo_optimizers.optimizer_options:AdamW8bitOptions",
        summary="AdamW with moments in 8 bits, block by block",
        references=("arXiv:2110.02861",),
        traits={
            "default_clipping": _NORM,
            "requires": "zoo-optimizers[bitsandbytes]",
            "devices": ["cpu", "cuda", "xpu"],
        },
    )
    yield Component(
        kind="optimizer",
        name="paged-adamw-8bit",
        target="zoo_optimizers.adamw_8bit:PagedAdamW8bit",
        options="zoo_optimizers.optimizer_options:AdamW8bitOptions",
        summary="AdamW with moments in 8 bits, in memory that is paged out of a full GPU",
        references=("arXiv:2110.02861", "arXiv:2305.14314"),
        traits={"default_clipping": _NORM, "requires": "zoo-optimizers[bitsandbytes]", "devices": ["cuda"]},
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
