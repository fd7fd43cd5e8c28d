"""The contract of resize policies: a policy is arithmetic on sizes, and its module imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from zoo.spec.options import Options


@dataclass(frozen=True)
class Placement:
    """What becomes of an image, in pixels: its new size, and where it stands on a canvas of padding.

    `colour` (0..255, one number for each channel or one for all) is that of the padding; where None, padding is 0 after
    normalisation. Patches that hold no pixel of the image are not real, whatever their colour.
    """

    height: int
    width: int
    canvas_height: int
    canvas_width: int
    top: int = 0
    left: int = 0
    colour: tuple[int, ...] | None = None


class ImageInput(ABC):
    """A resize policy. Built as ``target(options, patch_height, patch_width)``.

    The host resizes, normalises, pads and cuts as `place` says; nothing is cropped.
    """

    def __init__(self, options: Options, patch_height: int, patch_width: int) -> None:
        self.options = options
        self.patch_height = patch_height
        self.patch_width = patch_width

    @abstractmethod
    def place(self, height: int, width: int) -> Placement:
        """Where an image of `height` x `width` pixels (at least 1 x 1) goes.

        The canvas has whole patches and holds the image: ``top + height <= canvas_height``, and so for the width.
        """
