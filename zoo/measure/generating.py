"""Images of a generator: what evaluation scores and what the clocks time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.errors import ZooError
from zoo.models.generators.pixels import as_images
from zoo.models.modes import evaluating
from zoo.models.parameters import count_parameters
from zoo.spec.generator_spec import GenerationSection
from zoo.tasks.contracts import Progress, silent

Image = NDArray[np.uint8]
"""``[height, width, 3]``"""
ALIKE = 0.05
"""Images whose pixels vary, from one image to the next, by less than this share of what real ones do are all one."""
MINIMUM_OUTPUTS = 10
"""Fewer outputs are not judged."""
LOOKED_AT = 1000
"""How pixels vary is told from so many images at most."""


def generate_images(model: Any, count: int, section: GenerationSection, *, start: int = 0) -> list[Image]:
    """The images from number `start` on of those that the section's seed gives. The model's mode is the caller's.

    Raises ZooError where a pixel is not finite.
    """
    digest = hashlib.sha256(f"{section.seed}:{start}".encode()).digest()
    pixels = model.generate_images(count, int.from_bytes(digest[:8], "little") >> 1)  # [count, 3, H, W]
    if not torch.isfinite(pixels).all():
        raise ZooError("the model generates pixels that are not finite")
    return as_images(pixels)


def generate_all(model: Any, count: int, section: GenerationSection, progress: Progress = silent) -> list[Image]:
    """`count` images, `section.batch_size` at a time."""
    images: list[Image] = []
    with evaluating(model):
        for start in range(0, count, section.batch_size):
            images += generate_images(model, min(section.batch_size, count - start), section, start=start)
            progress("generate", len(images), count)
    return images


def sampling_probes(model: Any) -> dict[str, float]:
    """What an image costs: evaluations of the network that makes it, and the parameters of that network alone."""
    generator = model.generator
    return {
        "function_evaluations": float(generator.evaluations),
        "sampler_parameters": float(count_parameters(generator.sampler)),
    }


def image_probes(outputs: Sequence[Image], real: Sequence[Image]) -> dict[str, float]:
    """Scalars beside the scores: how much pixels vary from image to image, as a share of what real ones do."""
    return {"pixel_variation": _variation(outputs) / max(_variation(real), 1e-12)}


def all_alike(outputs: Sequence[Image], real: Sequence[Image]) -> str | None:
    """Why a generator counts as collapsed, in one line, or None: it makes one image whatever the noise.

    One that makes a few images of many has not collapsed in this sense: that is for a metric to tell.
    """
    if len(outputs) < MINIMUM_OUTPUTS or not _variation(real):
        return None
    share = image_probes(outputs, real)["pixel_variation"]
    return f"the images are all alike: pixels vary {share:.1%} as much as in real ones" if share < ALIKE else None


def _variation(images: Sequence[Image]) -> float:
    """The standard deviation of a pixel over the images, in root mean square over pixels, from 0 to 127.5."""
    some = np.stack(images[:LOOKED_AT]).astype(np.float64)  # [N, H, W, 3]
    return float(np.sqrt(some.var(axis=0).mean()))
