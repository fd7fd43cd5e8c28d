"""No positions."""

from zoo.models.vision.contracts import PatchPosition


class NoPosition(PatchPosition):
    """Nothing tells the encoder where a patch stands: an image is a bag of patches."""

    shift_invariant = True
