"""Options of this distribution's components. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from zoo.spec.options import Chosen, Options, Slot

BoxLossSlot = Annotated[Chosen, Slot("box-loss")]
MatcherSlot = Annotated[Chosen, Slot("matcher")]
Weight = Annotated[float, Field(ge=0.0)]


class HungarianOptions(Options):
    """The cheapest pairing of one to one."""

    class_cost: Weight = Field(default=1.0, description="Weight of the class")
    class_form: Literal["probability", "focal"] = Field(
        default="probability",
        description="Cost of a class: minus its probability (DETR), or a focal loss of it (Deformable DETR, RT-DETR)",
    )
    l1_cost: Weight = Field(
        default=5.0, description="Weight of the differences of cx, cy, w, h, as shares of the image"
    )
    box_cost: Weight = Field(default=2.0, description="Weight of 'box_loss'")
    box_loss: BoxLossSlot | None = Field(
        default=None, description="Box loss of each pair, on boxes in units of the image's longer side"
    )

    @model_validator(mode="after")
    def _something_costs(self) -> HungarianOptions:
        if self.box_cost and self.box_loss is None:
            raise ValueError("box_cost is the weight of a box_loss, and there is none: name one, or set box_cost to 0")
        if not (self.class_cost or self.l1_cost or self.box_cost):
            raise ValueError("class_cost, l1_cost and box_cost are all 0: every pairing would cost the same")
        return self


class TaskAlignedOptions(Options):
    """Several candidates for each true box, by how well class and box agree."""

    topk: int = Field(default=13, ge=1, le=1000, description="Candidates of a true box at most")
    alpha: float = Field(default=1.0, ge=0.0, description="Power of the class's probability in the alignment")
    beta: float = Field(default=6.0, ge=0.0, description="Power of the overlap in the alignment")


class AnchorFreeOptions(Options):
    """A convolutional detector that predicts a box from each place of its feature maps."""

    matcher: MatcherSlot = Field(description="Which places answer for which boxes")
    box_loss: BoxLossSlot = Field(description="Loss of a box, in units of the image's longer side")
    width: int = Field(default=32, ge=4, le=1024, description="Channels at stride 4; twice as many at each next, to 8x")
    depth: int = Field(default=1, ge=0, le=32, description="Residual blocks at each stride")
    neck: int = Field(default=64, ge=4, le=2048, description="Channels of the feature pyramid and of the heads")
    head_blocks: int = Field(default=2, ge=0, le=16, description="Convolutions before each of the two heads' outputs")
    levels: list[Literal[4, 8, 16, 32, 64]] = Field(
        default=[8, 16, 32],
        min_length=1,
        max_length=5,
        description="Strides that boxes are predicted at; with 4 there is a place in boxes of 4 pixels",
    )
    reg_max: int = Field(
        default=16,
        ge=0,
        le=256,
        description="A side's distance is the mean of a distribution over 0 to so many strides, and cannot be more "
        "(arXiv:2006.04388); 0: a number without bound",
    )
    side_floor: float = Field(
        default=0.0,
        ge=0.0,
        le=16.0,
        description="Strides that a true box is taken to be wide and high, at the least, where a matcher asks whether "
        "it holds a place; from 1 every box holds one",
    )
    class_weight: Weight = Field(default=1.0, description="Weight of the class loss (quality focal loss)")
    focus: float = Field(
        default=2.0, ge=0.0, le=10.0, description="Power of the class loss's focal factor: 0 (none), or from 1"
    )
    box_weight: Weight = Field(default=2.0, description="Weight of the box loss")
    distribution_weight: Weight = Field(default=0.25, description="Weight of the distributions' loss")
    candidates: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Surest boxes of an image, of all levels and classes, that are looked at. A matcher of several "
        "places to a box teaches as many to be sure of it (task-aligned: topk): take more than these times the boxes",
    )
    nms_iou: float | None = Field(
        default=0.6,
        gt=0.0,
        le=1.0,
        description="A box of the same class that overlaps a surer one by more is taken away; none is where absent",
    )

    @model_validator(mode="after")
    def _can_be(self) -> AnchorFreeOptions:
        if 0 < self.focus < 1:
            # The gradient of |x|^focus has no bound where x, a place's error, comes to nothing.
            raise ValueError(f"focus {self.focus:g}: expected 0, or a number from 1")
        if sorted(set(self.levels)) != self.levels:
            raise ValueError(f"levels {self.levels}: expected each once, the smallest first")
        return self


class DetrOptions(Options):
    """A transformer whose queries each find one box or none."""

    matcher: MatcherSlot = Field(description="Which queries answer for which boxes: of one to one")
    box_loss: BoxLossSlot = Field(description="Loss of a box, in units of the image's longer side")
    width: int = Field(
        default=32, ge=4, le=1024, description="Channels of the backbone at stride 4; twice at each next"
    )
    depth: int = Field(default=1, ge=0, le=32, description="Residual blocks of the backbone at each stride")
    stride: Literal[8, 16, 32] = Field(default=32, description="Pixels between the places that the encoder reads")
    d_model: int = Field(
        default=128, ge=4, le=4096, description="Width of the transformer: a multiple of heads, and of 4"
    )
    heads: int = Field(default=4, ge=1, le=64, description="Attention heads")
    encoder_layers: int = Field(default=3, ge=1, le=64, description="Layers of the encoder")
    decoder_layers: int = Field(default=3, ge=1, le=64, description="Layers of the decoder")
    feedforward: int = Field(default=512, ge=1, le=65536, description="Width of the feed-forward layers")
    queries: int = Field(default=100, ge=1, le=10_000, description="Queries: no more boxes are found in an image")
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0, description="Dropout on each sublayer's output")
    auxiliary: bool = Field(default=True, description="Whether every decoder layer has the losses, not the last alone")
    no_object: float = Field(
        default=0.1, gt=0.0, le=1.0, description="Weight of queries without a box in the class loss"
    )
    class_weight: Weight = Field(default=1.0, description="Weight of the class loss (cross-entropy)")
    l1_weight: Weight = Field(default=5.0, description="Weight of the differences of cx, cy, w, h")
    box_weight: Weight = Field(default=2.0, description="Weight of the box loss")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> DetrOptions:
        # The sine positions of rows and of columns take half of it each, in pairs.
        if self.d_model % self.heads or self.d_model % 4:
            raise ValueError(f"d_model {self.d_model}: expected a multiple of heads {self.heads} and of 4")
        return self


class RtDetrOptions(Options):
    """A hybrid encoder whose surest places become the queries of a transformer's decoder."""

    matcher: MatcherSlot = Field(description="Which queries answer for which boxes: of one to one")
    box_loss: BoxLossSlot = Field(description="Loss of a box, in units of the image's longer side")
    width: int = Field(
        default=32, ge=4, le=1024, description="Channels of the backbone at stride 4; twice at each next, to 8x"
    )
    depth: int = Field(default=1, ge=0, le=32, description="Residual blocks of the backbone at each stride")
    levels: list[Literal[4, 8, 16, 32, 64]] = Field(
        default=[8, 16, 32],
        min_length=1,
        max_length=5,
        description="Strides of the maps that are read, each twice the one before; the last one has self-attention",
    )
    d_model: int = Field(default=128, ge=4, le=4096, description="Width of it all: a multiple of heads, and of 4")
    heads: int = Field(default=4, ge=1, le=64, description="Attention heads")
    encoder_layers: int = Field(default=1, ge=0, le=64, description="Layers of self-attention over the coarsest map")
    expansion: float = Field(
        default=1.0, gt=0.0, le=4.0, description="Width of the encoder's convolutional blocks, in d_model"
    )
    decoder_layers: int = Field(default=3, ge=1, le=64, description="Layers of the decoder")
    points: int = Field(default=4, ge=1, le=64, description="Places that a head of a query looks at, on each map")
    feedforward: int = Field(default=512, ge=1, le=65536, description="Width of the feed-forward layers")
    queries: int = Field(default=300, ge=1, le=10_000, description="Queries: no more boxes are found in an image")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0, description="Dropout on each sublayer's output")
    denoising: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="Queries that are made of true boxes in training, half as many as there are (arXiv:2203.03605); as "
        "often as they fit, and once at the least; 0: none",
    )
    label_noise: float = Field(
        default=0.5, ge=0.0, le=1.0, description="Twice the share of those that have another class drawn for them"
    )
    box_noise: float = Field(
        default=1.0, gt=0.0, le=10.0, description="How far their sides are moved, in halves of the box's own"
    )
    alpha: float = Field(default=0.75, ge=0.0, le=10.0, description="Weight of what is no box in the class loss")
    gamma: float = Field(default=2.0, ge=0.0, le=10.0, description="Power of its score there (arXiv:2008.13367)")
    class_weight: Weight = Field(default=1.0, description="Weight of the class loss (varifocal loss)")
    l1_weight: Weight = Field(default=5.0, description="Weight of the differences of cx, cy, w, h")
    box_weight: Weight = Field(default=2.0, description="Weight of the box loss")

    @model_validator(mode="after")
    def _fits_together(self) -> RtDetrOptions:
        if self.d_model % self.heads or self.d_model % 4:
            raise ValueError(f"d_model {self.d_model}: expected a multiple of heads {self.heads} and of 4")
        if any(after != 2 * before for before, after in zip(self.levels, self.levels[1:], strict=False)):
            raise ValueError(f"levels {self.levels}: expected each to be twice the one before")
        return self


class DFineOptions(RtDetrOptions):
    """RT-DETR whose decoder moves the sides of boxes by distributions, and learns earlier layers from the last."""

    reg_max: int = Field(
        default=32, ge=4, le=256, multiple_of=2, description="N: how far a side is moved is a mean over N + 1 movements"
    )
    a: float = Field(
        default=0.5, gt=0.0, le=10.0, description="The second largest movement, in sides of the box; the largest is 2a"
    )
    c: float = Field(
        default=0.25, gt=0.0, le=10.0, description="How evenly the movements are spread: the smaller, the more near 0"
    )
    fgl_weight: Weight = Field(default=0.15, description="Weight of the distributions' loss (FGL)")
    ddf_weight: Weight = Field(
        default=1.5, description="Weight of the difference of earlier layers' distributions from the last one's (DDF)"
    )
    temperature: float = Field(default=5.0, gt=0.0, le=100.0, description="T, which both are flattened by there")
