"""What fewer bits are for a detector: what is decided by what it is made of, and what is refused."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from zoo.errors import InputError
from zoo.export.folder import Decision
from zoo_export.options import OnnxOptions

MEASURED = "measured: plugins/zoo-export/README.md"
_OF_FEW_BITS = ("int8", "int4")


def refuse(model: Any, options: OnnxOptions) -> None:
    """Raise InputError where nothing of `model` can have the weights that are asked for."""
    if options.weights == "int4" and not _has_products(model):
        raise InputError(
            f"weights: '{model.section.detector.id}' has no matrix products, which alone onnxruntime has in 4 bits: "
            "take int8"
        )
    if options.weights in _OF_FEW_BITS and not options.calibration and not _has_products(model):
        raise InputError(
            f"calibration: '{model.section.detector.id}' has convolutions alone: 0 leaves all of it in float32"
        )


def calibration(model: Any, options: OnnxOptions) -> int:
    """Images that ranges are found on."""
    return options.calibration if options.weights in _OF_FEW_BITS and _has_convolutions(model) else 0


def for_detector(
    model: Any, options: OnnxOptions, asked: Collection[str] = ()
) -> tuple[OnnxOptions, tuple[Decision, ...]]:
    """The options as they are for `model`, where those that are not `asked` for may change, and why."""
    found = []
    if options.weights == "int4" and not _has_products(model) and "weights" not in asked:
        reason = f"'{model.section.detector.id}' has no matrix products, which alone onnxruntime has in 4 bits"
        source = "https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html"
        found.append(Decision(what="weights", value="int8", reason=reason, source=source))
        options = options.model_copy(update={"weights": "int8"})
    if options.weights == "float16":
        reason = "a place on a side of a thousand pixels has no digits left behind its point in float16"
        found.append(Decision(what="arithmetic of boxes", value="float32", reason=reason, source=MEASURED))
    if options.weights in _OF_FEW_BITS:
        found += _of_few_bits(model, options)
    return options, tuple(found)


def _of_few_bits(model: Any, options: OnnxOptions) -> list[Decision]:
    found = []
    if _has_convolutions(model) and options.calibration:
        reason = (
            "with ranges that are found beforehand they take a third of float32's time, with ranges found as numbers "
            "come three times as long"
        )
        found.append(Decision(what="convolutions", value="int8", reason=reason, source=MEASURED))
    elif _has_convolutions(model):
        reason = "calibration is 0, and with ranges found as numbers come they take three times as long as in float32"
        found.append(Decision(what="convolutions", value="float32", reason=reason, source=MEASURED))
    if _has_products(model):
        reason = "no slower with ranges that are found as numbers come than with some that other images may not fit"
        value = f"{options.weights}, activations int8"
        found.append(Decision(what="matrix products", value=value, reason=reason, source=MEASURED))
    if options.keep_last:
        reason = "what scores and boxes are computed of: 8 bits do most harm there, and save little"
        found.append(Decision(what="last layers", value="float32", reason=reason, source=MEASURED))
    return found


def _has_products(model: Any) -> bool:
    return any(isinstance(module, nn.Linear) for module in model.detector.modules())


def _has_convolutions(model: Any) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in model.detector.modules())
