"""Makes the Auto classes know zoo models."""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForCTC,
    AutoModelForImageTextToText,
    AutoModelForObjectDetection,
    AutoModelForSeq2SeqLM,
)

from zoo.models.causal_lm import ZooForCausalLM
from zoo.models.configuration import ZooConfig
from zoo.models.detection.model import ZooForObjectDetection
from zoo.models.detection.processor import ZooDetectionProcessor
from zoo.models.skeleton import ZooForConditionalGeneration
from zoo.models.vision.image_ctc import ZooForImageCTC
from zoo.models.vision.image_to_text import ZooForImageToText
from zoo.models.vision.processor import ZooImageProcessor


class _DetectorConfig(ZooConfig):
    """No model has it: transformers finds an image processor by a class of configurations, and takes one for each."""

    model_type = "zoo-detector"


def register() -> None:
    """Register ``model_type: zoo``; a second call changes nothing."""
    AutoConfig.register(ZooConfig.model_type, ZooConfig, exist_ok=True)
    AutoModelForSeq2SeqLM.register(ZooConfig, ZooForConditionalGeneration, exist_ok=True)
    AutoModelForCausalLM.register(ZooConfig, ZooForCausalLM, exist_ok=True)
    AutoModelForImageTextToText.register(ZooConfig, ZooForImageToText, exist_ok=True)
    AutoModelForCTC.register(ZooConfig, ZooForImageCTC, exist_ok=True)
    AutoModelForObjectDetection.register(ZooConfig, ZooForObjectDetection, exist_ok=True)
    AutoImageProcessor.register(ZooConfig, slow_image_processor_class=ZooImageProcessor, exist_ok=True)
    AutoImageProcessor.register(_DetectorConfig, slow_image_processor_class=ZooDetectionProcessor, exist_ok=True)
