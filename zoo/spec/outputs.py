"""The section of a spec that says how its model's outputs are made, whatever they are."""

from __future__ import annotations

from zoo.spec.detection_spec import DetectionSection, DetectionSpec
from zoo.spec.generator_spec import GenerationSection, GeneratorSpec
from zoo.spec.sections import DecodingSection, Spec

Outputs = DecodingSection | DetectionSection | GenerationSection
"""How a model's outputs are made: texts are decoded, boxes are found, images are generated."""


def outputs_section(spec: Spec) -> Outputs:
    """The section of a spec that says how its model's outputs are made."""
    if isinstance(spec, DetectionSpec):
        return spec.detection
    return spec.generation if isinstance(spec, GeneratorSpec) else spec.decoding
