"""Options of the box losses. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.spec.options import Chosen, Options, Slot


class SmoothL1Options(Options):
    """Options of `smooth-l1`."""

    beta: float = Field(
        default=1.0,
        gt=0,
        description="Difference of a coordinate, in the unit of the boxes, up to which the loss is quadratic; in a "
        "detector, where the image's longer side is 1, that is any with the default",
    )


class CIoUOptions(Options):
    """Options of `ciou`."""

    minimum_iou: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="alpha is 0 below this IoU: the first paper has no such limit, the second (arXiv:2005.03572) 0.5",
    )


class SIoUOptions(Options):
    """Options of `siou`."""

    theta: float = Field(default=4.0, ge=1, description="theta, the power of the shape cost; 2 to 6 in the paper")


class AlphaIoUOptions(Options):
    """Options of `alpha-iou`."""

    alpha: float = Field(default=3.0, ge=1, description="The power of the overlap and of the penalty; 3 in the paper")
    penalty: Literal["none", "giou", "diou", "ciou"] = Field(
        default="none", description="Which loss's penalty is added, to the same power"
    )


class WIoUv3Options(Options):
    """Options of `wiou-v3`."""

    alpha: float = Field(
        default=1.9,
        gt=1,
        description="alpha of the focusing r = beta / (delta alpha^(beta - delta)): 1.9 in the paper, later 1.7",
    )
    delta: float = Field(
        default=3.0,
        gt=0,
        description="delta of the focusing: the outlier degree whose weight is 1: 3 in the paper, later 2.7",
    )
    momentum: float = Field(
        default=1e-4,
        gt=0,
        le=1,
        description="m of the running mean of 1 - IoU, over batches; the authors' code has 1 - 0.5^(1 / 7000)",
    )


class InnerIoUOptions(Options):
    """Options of `inner-iou`."""

    ratio: float = Field(
        default=0.75,
        gt=0,
        le=2,
        description="Sides of the auxiliary boxes over those of the boxes; 0.5 to 1.5 in the paper",
    )
    of: Annotated[Chosen, Slot("box-loss")] = Field(
        default="zoo-iou-losses/iou",  # type: ignore[assignment]  # the slot turns the name into a component
        description="The loss whose overlap is exchanged for that of the auxiliary boxes",
    )


class NwdOptions(Options):
    """Options of `nwd`."""

    constant: float = Field(
        default=12.7,
        gt=0,
        description="C, in the unit of the boxes: about the mean size of the objects. 12.7 pixels are AI-TOD's; in a "
        "detector the unit is the image's longer side, and it has to be said (12.7 of 800 pixels are 0.016)",
    )


class KFIoUOptions(Options):
    """Options of `kfiou`."""

    form: Literal["linear", "exp", "ln"] = Field(
        default="linear", description="1 - KFIoU, exp(1 - KFIoU) - 1, or -ln(KFIoU + 1e-6)"
    )
    rescaled: bool = Field(default=False, description="Multiply KFIoU, which ends at 1/3, by 3; not in the paper")
    beta: float = Field(
        default=1 / 9,
        gt=0,
        description="Offset, over the root of the target's area, up to which the centre loss is quadratic",
    )


class FusedOptions(Options):
    """Options of `fused`."""

    of: Annotated[Chosen, Slot("box-loss")] = Field(
        default="zoo-iou-losses/ciou",  # type: ignore[assignment]  # the slot turns the name into a component
        description="The loss that is computed; one that keeps no state",
    )
    backend: Literal["inductor", "eager"] = Field(
        default="inductor", description="Whether one kernel is compiled (seconds, at the first batch) or none"
    )


class PublishedOptions(Options):
    """Options of `diou-published` and `ciou-published`."""

    source: Literal["darknet", "simulation"] = Field(
        default="darknet",
        description="Which of the authors' codes: that of their detector or that of their simulation, which differ",
    )
