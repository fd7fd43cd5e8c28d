"""What a detector asks of a box loss.

A box is ``x1, y1, x2, y2`` in any one unit: pixels, or shares of the image. The y axis points where it likes.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from zoo.spec.options import Options


class BoxLoss(nn.Module):
    """Built as ``target(options)``. One loss a box; the host reduces, and weighs it against its other losses.

    A matcher takes the same component as its cost of every pair: ``loss(predicted[:, None], target[None])`` is
    ``[N, M]``. Value and gradients are finite whatever the boxes: identical, inverted, without area, tiny or huge.

    What stands here as attributes of the class may depend on the options: then it is set in ``__init__``. The
    conformance suite asks for all that is claimed.
    """

    coordinates: int = 4
    """Numbers that make a box: 4 are ``x1, y1, x2, y2``; 5 a rotated one, ``x, y`` of its centre, width, height and the
    angle in radians of its width against the x axis."""
    bounds: tuple[float, float] = (0.0, math.inf)
    """No loss lies outside."""
    zero_at_identity: bool = True
    """Whether a box with an area, predicted exactly, costs nothing."""
    symmetric: bool = True
    """Whether predicted and target may change places."""
    scale_invariant: bool = True
    """Whether multiplying both boxes by the same number changes nothing."""
    translation_invariant: bool = True
    """Whether moving both boxes alike changes nothing."""
    length: float | None = None
    """A length among its options, in the unit of the boxes; of several the largest. None where there is none."""
    exact_gradient: bool = True
    """Whether the predicted box's gradient is the value's derivative. Not so where a factor is cut off from it."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """predicted ``[..., coordinates]``, target the same or broadcastable to it -> loss ``[...]``.

        The loss is float64 where a box is, else float32, and each stands for itself: none depends on the boxes beside
        it. State may change in training mode alone, and there only where gradients are recorded, so that a matcher
        without them may ask as often as it likes.
        """
        raise NotImplementedError
