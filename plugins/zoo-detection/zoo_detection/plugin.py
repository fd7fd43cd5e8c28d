"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_detection.options"
_SMALL = {"width": 8, "box_loss": "giou"}
_FOCAL = {"use": "hungarian", "class_form": "focal", "class_cost": 2.0, "box_loss": "giou"}
_SMALL_SETS = {
    **_SMALL,
    "levels": [16, 32],
    "d_model": 16,
    "heads": 2,
    "expansion": 0.5,
    "decoder_layers": 2,
    "points": 2,
    "feedforward": 32,
    "queries": 10,
    "denoising": 8,
    "matcher": _FOCAL,
}


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="matcher",
        name="hungarian",
        target="zoo_detection.hungarian:Hungarian",
        options=f"{_OPTIONS}:HungarianOptions",
        summary="The cheapest pairing of one to one, by class, distance and a box loss",
        references=("arXiv:2005.12872",),
        traits={"example": {"box_loss": "giou"}},
    )
    yield Component(
        kind="matcher",
        name="task-aligned",
        target="zoo_detection.task_aligned:TaskAligned",
        options=f"{_OPTIONS}:TaskAlignedOptions",
        summary="Several places for each box, by how well class and overlap agree",
        references=("arXiv:2108.07755",),
    )
    yield Component(
        kind="detector",
        name="anchor-free",
        target="zoo_detection.anchor_free:AnchorFree",
        options=f"{_OPTIONS}:AnchorFreeOptions",
        summary="Convolutions, a feature pyramid, and a box from each of its places",
        references=("arXiv:1904.01355", "arXiv:2006.04388", "arXiv:2108.07755"),
        traits={"example": {**_SMALL, "neck": 16, "head_blocks": 1, "matcher": "task-aligned"}},
    )
    yield Component(
        kind="detector",
        name="detr",
        target="zoo_detection.detr:Detr",
        options=f"{_OPTIONS}:DetrOptions",
        summary="A transformer whose queries each find one box or none (transformers' DETR)",
        references=("arXiv:2005.12872",),
        traits={
            "example": {
                **_SMALL,
                "d_model": 32,
                "encoder_layers": 1,
                "decoder_layers": 2,
                "feedforward": 32,
                "queries": 10,
                "matcher": {"use": "hungarian", "box_loss": "giou"},
            }
        },
    )
    yield Component(
        kind="detector",
        name="rt-detr",
        target="zoo_detection.rt_detr:RtDetr",
        options=f"{_OPTIONS}:RtDetrOptions",
        summary="A hybrid encoder whose surest places become a decoder's queries (transformers' RT-DETR)",
        references=("arXiv:2304.08069",),
        traits={"example": _SMALL_SETS},
    )
    yield Component(
        kind="detector",
        name="d-fine",
        target="zoo_detection.d_fine:DFine",
        options=f"{_OPTIONS}:DFineOptions",
        summary="RT-DETR whose decoder moves sides by distributions (transformers' D-FINE)",
        references=("arXiv:2410.13842",),
        traits={"example": {**_SMALL_SETS, "reg_max": 8}},
    )
