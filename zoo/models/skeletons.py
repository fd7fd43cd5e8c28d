"""Which class builds and loads the models of an architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.models.base import ZooModel
from zoo.models.causal_lm import ZooForCausalLM
from zoo.models.configuration import ZooConfig
from zoo.models.detection.model import ZooForObjectDetection
from zoo.models.generators.model import ZooForImageGeneration
from zoo.models.skeleton import ZooForConditionalGeneration
from zoo.models.vision.image_ctc import ZooForImageCTC
from zoo.models.vision.image_to_text import ZooForImageToText
from zoo.spec.model_section import Architecture

SKELETONS: dict[Architecture, type[ZooModel]] = {
    "encoder-decoder": ZooForConditionalGeneration,
    "causal-lm": ZooForCausalLM,
    "prefix-lm": ZooForCausalLM,
    "image-to-text": ZooForImageToText,
    "image-ctc": ZooForImageCTC,
    "detector": ZooForObjectDetection,
    "generator": ZooForImageGeneration,
}


def load_model(folder: Path, **options: Any) -> ZooModel:
    """The model in a folder that `save_pretrained` wrote, whatever its architecture, in the precision that its weights
    are held in; errors as `from_pretrained`'s."""
    options = {"dtype": "auto", **options}  # 4.57 would take float32
    architecture = ZooConfig.from_pretrained(str(folder)).section().architecture
    model: ZooModel = SKELETONS[architecture].from_pretrained(str(folder), **options)
    return model
