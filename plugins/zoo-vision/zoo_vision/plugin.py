"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_vision.options"
_SMALL = {"rows": 3, "columns": 5}


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield from _policies()
    yield from _positions()


def _policies() -> Iterator[Component]:
    yield Component(
        kind="image-input",
        name="squash",
        target="zoo_vision.policies:Squash",
        options=f"{_OPTIONS}:SquashOptions",
        summary="Every image becomes one size, whatever its aspect",
        references=("arXiv:2109.10282",),
        traits={"example": {"height": 32, "width": 64}},
    )
    yield Component(
        kind="image-input",
        name="letterbox",
        target="zoo_vision.policies:Letterbox",
        options=f"{_OPTIONS}:LetterboxOptions",
        summary="As large as fits on a canvas of one size, the aspect kept; the rest is padding",
        traits={"example": {"height": 32, "width": 64}},
    )
    yield Component(
        kind="image-input",
        name="native",
        target="zoo_vision.policies:Native",
        options=f"{_OPTIONS}:NativeOptions",
        summary="As it is, padded to whole multiples; never enlarged",
        references=("arXiv:2307.06304",),
    )
    yield Component(
        kind="image-input",
        name="large",
        target="zoo_vision.policies:Large",
        options=f"{_OPTIONS}:LargeOptions",
        summary="The longer side becomes one length, the aspect kept, and sides are padded to whole multiples",
        references=("arXiv:2210.03347",),
        traits={"example": {"long_side": 64}},
    )


def _positions() -> Iterator[Component]:
    yield Component(
        kind="patch-position",
        name="none",
        target="zoo_vision.plain:NoPosition",
        summary="No positions: an image is a bag of patches",
        traits={"where": "none"},
    )
    yield Component(
        kind="patch-position",
        name="absolute-interpolated",
        target="zoo_vision.absolute:AbsoluteInterpolated",
        options=f"{_OPTIONS}:TableOptions",
        summary="A trained table, resized to the grid of each image (bicubic, antialiased)",
        references=("arXiv:2010.11929",),
        traits={"where": "embedding", "example": _SMALL},
    )
    yield Component(
        kind="patch-position",
        name="absolute-cropped",
        target="zoo_vision.absolute:AbsoluteCropped",
        options=f"{_OPTIONS}:CroppedOptions",
        summary="A trained table, of which a grid gets a part of its own size",
        references=("arXiv:2403.03206",),
        traits={"where": "embedding"},
    )
    yield Component(
        kind="patch-position",
        name="factorized",
        target="zoo_vision.absolute:Factorized",
        options=f"{_OPTIONS}:TableOptions",
        summary="A trained vector for the row and one for the column, added up",
        references=("arXiv:2307.06304",),
        traits={"where": "embedding"},
    )
    yield Component(
        kind="patch-position",
        name="fractional-learned",
        target="zoo_vision.fractional:FractionalLearned",
        options=f"{_OPTIONS}:FractionalLearnedOptions",
        summary="A trained curve along each side of the image, read at the patch's fraction of it",
        references=("arXiv:2307.06304",),
        traits={"where": "embedding"},
    )
    yield Component(
        kind="patch-position",
        name="fractional-fourier",
        target="zoo_vision.fractional:FractionalFourier",
        options=f"{_OPTIONS}:FractionalFourierOptions",
        summary="Sines and cosines of the patch's fractions of the sides through a trained matrix",
        references=("arXiv:2307.06304", "arXiv:2103.03206"),
        traits={"where": "embedding"},
    )
    yield Component(
        kind="patch-position",
        name="relative-bias-2d",
        target="zoo_vision.relative:RelativeBias2d",
        options=f"{_OPTIONS}:RelativeBias2dOptions",
        summary="A trained bias for each head and distance in rows and columns",
        references=("arXiv:2106.08254", "arXiv:2103.14030"),
        traits={"where": "attention", "example": _SMALL},
    )
    yield Component(
        kind="patch-position",
        name="rotary-2d",
        target="zoo_vision.rotary:Rotary2d",
        options=f"{_OPTIONS}:Rotary2dOptions",
        summary="Queries and keys turned by the row and by the column",
        references=("arXiv:2403.13298",),
        traits={"where": "attention"},
    )
