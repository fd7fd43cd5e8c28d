"""Assembly of models from components. Importing this registers zoo models and backends with transformers."""

from zoo.models import auto as _auto
from zoo.models import backends as _backends
from zoo.models.assemble import assemble
from zoo.models.causal_lm import ZooForCausalLM
from zoo.models.configuration import ZooConfig
from zoo.models.detection.model import ZooForObjectDetection
from zoo.models.detection.processor import ZooDetectionProcessor
from zoo.models.generators.model import ZooForImageGeneration
from zoo.models.parameters import count_parameters, weights_hash
from zoo.models.skeleton import ZooForConditionalGeneration
from zoo.models.skeletons import load_model
from zoo.models.vision.image_ctc import ZooForImageCTC
from zoo.models.vision.image_to_text import ZooForImageToText
from zoo.models.vision.processor import ZooImageProcessor

__all__ = [
    "ZooConfig",
    "ZooDetectionProcessor",
    "ZooForCausalLM",
    "ZooForConditionalGeneration",
    "ZooForImageCTC",
    "ZooForImageGeneration",
    "ZooForImageToText",
    "ZooForObjectDetection",
    "ZooImageProcessor",
    "assemble",
    "count_parameters",
    "load_model",
    "weights_hash",
]

_backends.register()
_auto.register()
