"""Gradient clipping of each part of a model on its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo.training.contracts import Clipped, Clipping, NamedParameters
from zoo_optimizers.clipping_options import PerGroupClippingOptions
from zoo_optimizers.parameter_classes import CLASSES, ParameterClass, class_of


class PerGroupClipping(Clipping):
    """Clips embeddings, output, attention, feed-forward layers, norms and the rest each by itself.

    A large gradient in one part then takes nothing from the others; the direction of the whole gradient changes.
    """

    options: PerGroupClippingOptions

    def __init__(self, options: PerGroupClippingOptions) -> None:
        super().__init__(options)
        self._inner: Mapping[ParameterClass, Clipping] = {
            name: (getattr(options, name) or options.each).create() for name in CLASSES
        }

    def clip(self, parameters: NamedParameters) -> Clipped:
        members = {name: [item for item in parameters if class_of(item[0]) == name] for name in CLASSES}
        groups: dict[str, Clipped] = {name: self._inner[name].clip(found) for name, found in members.items() if found}
        if not groups:
            zero = torch.zeros(())
            return Clipped(norm=zero, clipped_norm=zero, clipped=zero.bool())
        device = parameters[0][1].device
        # A group without a gradient has its norm on the CPU.
        changed = torch.stack([group.clipped.to(device) for group in groups.values()])  # [groups]
        return Clipped(
            norm=_together([group.norm.to(device) for group in groups.values()]),
            clipped_norm=_together([group.clipped_norm.to(device) for group in groups.values()]),
            clipped=changed.any(),
            groups=groups,
        )


def _together(norms: list[Tensor]) -> Tensor:
    """The norm ``[]`` of vectors with these norms, one behind the other."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm
