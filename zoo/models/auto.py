"""Makes the Auto classes know zoo models."""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForCTC,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
)

from zoo.models.causal_lm import ZooForCausalLM
from zoo.models.configuration import ZooConfig
from zoo.models.skeleton import ZooForConditionalGeneration
from zoo.models.vision.image_ctc import ZooForImageCTC
from zoo.models.vision.image_to_text import ZooForImageToText
from zoo.models.vision.processor import ZooImageProcessor


def register() -> None:
    """Register ``model_type: zoo``; a second call changes nothing."""
    AutoConfig.register(ZooConfig.model_type, ZooConfig, exist_ok=True)
    AutoModelForSeq2SeqLM.register(ZooConfig, ZooForConditionalGeneration, exist_ok=True)
    AutoModelForCausalLM.register(ZooConfig, ZooForCausalLM, exist_ok=True)
    AutoModelForImageTextToText.register(ZooConfig, ZooForImageToText, exist_ok=True)
    AutoModelForCTC.register(ZooConfig, ZooForImageCTC, exist_ok=True)
    AutoImageProcessor.register(ZooConfig, slow_image_processor_class=ZooImageProcessor, exist_ok=True)
