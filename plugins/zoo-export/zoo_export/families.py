"""Families of models: those whose graphs are made alike."""

from __future__ import annotations

from typing import Any, Protocol

from zoo.errors import InputError
from zoo.export.plain import PlainModel
from zoo_export import detection_graphs, image_graphs, language_graphs, plain_graphs, text_graphs
from zoo_export.graphs import Graph


class Family(Protocol):
    """A module of graphs."""

    def refuse(self, model: Any) -> None:
        """Raise InputError, naming the component, where no graph says what `model` does."""

    def graphs(self, model: Any) -> list[Graph]:
        """Those of `model`, in evaluation mode without gradients."""


_OF_ARCHITECTURES: dict[str, Family] = {
    "encoder-decoder": text_graphs,
    "causal-lm": language_graphs,
    "prefix-lm": language_graphs,
    "image-to-text": image_graphs,
    "image-ctc": image_graphs,
    "detector": detection_graphs,
}


def family_of(model: Any) -> Family:
    """Raises InputError where there is none."""
    if isinstance(model, PlainModel):
        return plain_graphs
    architecture = model.section.architecture
    found = _OF_ARCHITECTURES.get(architecture)
    if found is None:
        raise InputError(f"a model of the architecture '{architecture}' cannot be exported to ONNX yet")
    return found
