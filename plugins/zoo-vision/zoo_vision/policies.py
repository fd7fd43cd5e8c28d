"""Resize policies: which size an image gets, and on which canvas it stands."""

from __future__ import annotations

import math

from zoo.errors import InputError
from zoo.images.inputs import ImageInput, Placement
from zoo.spec.options import Options
from zoo_vision.options import LargeOptions, LetterboxOptions, NativeOptions, SquashOptions


def _refuse_broken_patches(name: str, sides: tuple[int, int], patch: tuple[int, int]) -> None:
    if sides[0] % patch[0] or sides[1] % patch[1]:
        raise InputError(
            f"{name}: {sides[0]} x {sides[1]} pixels are no whole patches of {patch[0]} x {patch[1]}: choose multiples"
        )


def _whole(side: int, multiple: int) -> int:
    """The least multiple that is not below `side`."""
    return -(-side // multiple) * multiple


def _fitted(height: int, width: int, most_rows: int, most_columns: int) -> tuple[int, int]:
    """The largest size of this aspect inside of ``most_rows`` x ``most_columns``, at least one pixel each way."""
    scale = min(most_rows / height, most_columns / width)
    return min(most_rows, max(1, round(height * scale))), min(most_columns, max(1, round(width * scale)))


class Squash(ImageInput):
    """Every image becomes ``height`` x ``width``, whatever its aspect (as TrOCR has it, Li et al. 2021)."""

    options: SquashOptions

    def __init__(self, options: SquashOptions, patch_height: int, patch_width: int) -> None:
        super().__init__(options, patch_height, patch_width)
        _refuse_broken_patches("squash", (options.height, options.width), (patch_height, patch_width))

    def place(self, height: int, width: int) -> Placement:
        sides = (self.options.height, self.options.width)
        return Placement(*sides, *sides)


class Letterbox(ImageInput):
    """The image as large as fits on a canvas of ``height`` x ``width``, its aspect kept; the rest is padding."""

    options: LetterboxOptions

    def __init__(self, options: LetterboxOptions, patch_height: int, patch_width: int) -> None:
        super().__init__(options, patch_height, patch_width)
        _refuse_broken_patches("letterbox", (options.height, options.width), (patch_height, patch_width))

    def place(self, height: int, width: int) -> Placement:
        canvas = (self.options.height, self.options.width)
        size = _fitted(height, width, *canvas)
        centred = self.options.align == "centre"
        top, left = ((have - need) // 2 if centred else 0 for have, need in zip(canvas, size, strict=True))
        colour = None if self.options.colour is None else tuple(self.options.colour)
        return Placement(*size, *canvas, top, left, colour)


class _Padded(ImageInput):
    """Images that keep their aspect, padded on the right and at the bottom to whole multiples."""

    def __init__(self, options: Options, patch_height: int, patch_width: int, multiple: int) -> None:
        super().__init__(options, patch_height, patch_width)
        self.steps = math.lcm(multiple, patch_height), math.lcm(multiple, patch_width)

    def padded(self, height: int, width: int) -> Placement:
        return Placement(height, width, _whole(height, self.steps[0]), _whole(width, self.steps[1]))


class Native(_Padded):
    """The image as it is, padded to multiples of ``multiple``; it is never enlarged (NaViT, Dehghani et al. 2023)."""

    options: NativeOptions

    def __init__(self, options: NativeOptions, patch_height: int, patch_width: int) -> None:
        super().__init__(options, patch_height, patch_width, options.multiple)
        least = self.steps[0] // patch_height * (self.steps[1] // patch_width)
        if options.max_patches is not None and options.max_patches < least:
            raise InputError(
                f"native: the smallest image has {least} patches, max_patches is {options.max_patches}: raise it"
            )

    def place(self, height: int, width: int) -> Placement:
        most = self.options.max_patches
        if most is None or self._patches(height, width) <= most:
            return self.padded(height, width)
        # The largest height at which the image fits; the patches do not grow where an image shrinks.
        low, high = 0, max(height, width)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._patches(*_shrunk(height, width, middle)) <= most else (low, middle)
        return self.padded(*_shrunk(height, width, max(low, 1)))

    def _patches(self, height: int, width: int) -> int:
        placed = self.padded(height, width)
        return placed.canvas_height // self.patch_height * (placed.canvas_width // self.patch_width)


class Large(_Padded):
    """The longer side becomes ``long_side``, the aspect is kept, and sides are padded to multiples of ``multiple``."""

    options: LargeOptions

    def __init__(self, options: LargeOptions, patch_height: int, patch_width: int) -> None:
        super().__init__(options, patch_height, patch_width, options.multiple)

    def place(self, height: int, width: int) -> Placement:
        if max(height, width) < self.options.long_side and not self.options.upscale:
            return self.padded(height, width)
        return self.padded(*_shrunk(height, width, self.options.long_side))


def _shrunk(height: int, width: int, long_side: int) -> tuple[int, int]:
    """The size of this aspect whose longer side is `long_side`, at least one pixel each way."""
    return _fitted(height, width, long_side, long_side)
