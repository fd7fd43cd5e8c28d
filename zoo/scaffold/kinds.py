"""What each template is a component of: its record, its suite, and its place in a spec."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Template:
    """The template of one kind: ``templates/kinds/KIND/`` holds its module, its options and its test.

    `slot` is the placeholder of ``spec.yaml`` that it fills; `filled` what stands there, ``$use`` being the component.
    """

    kind: str
    implementation: str
    """Name of its class; that of its options is ``<implementation>Options``."""
    does: str
    reference: str
    suite: str
    slot: str
    filled: str = "$use"
    traits: Mapping[str, str] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """Name of the component's module and of its test."""
        return self.kind.replace("-", "_")


TEMPLATES: dict[str, Template] = {
    template.kind: template
    for template in (
        Template(
            "position",
            "LogDistance",
            "A penalty by the logarithm of the distance, its two numbers learned by each head",
            "arXiv:2205.09921",
            "PositionSuite",
            "position",
            traits={"where": "attention"},
        ),
        Template(
            "block",
            "GatedResidual",
            "Pre-norm residuals with one learned gate for each sublayer",
            "arXiv:2003.04887",
            "BlockSuite",
            "block",
        ),
        Template(
            "normalization",
            "ScaleNorm",
            "Every feature vector is given one learned length",
            "arXiv:1910.05895",
            "NormalizationSuite",
            "normalization",
        ),
        Template(
            "activation",
            "PowerOfRelu",
            "A power of the positive part",
            "arXiv:2109.08668",
            "ActivationSuite",
            "feedforward",
            filled="{use: mlp, activation: $use}",
        ),
        Template(
            "feedforward",
            "SigmoidGlu",
            "A projection gated by the sigmoid of another",
            "arXiv:1612.08083",
            "FeedforwardSuite",
            "feedforward",
        ),
        Template(
            "fusion",
            "MeanOfLayers",
            "Every decoder layer reads the mean of the last encoder layers",
            "arXiv:1810.10181",
            "FusionSuite",
            "fusion",
        ),
        Template(
            "token-loss",
            "FocalLoss",
            "Cross-entropy that counts less where the target is likely already",
            "arXiv:1708.02002",
            "TokenLossSuite",
            "objective",
        ),
        Template(
            "optimizer",
            "Lion",
            "Steps of one size for every weight, in the sign of a momentum",
            "arXiv:2302.06675",
            "OptimizerSuite",
            "optimizer",
        ),
        Template(
            "metric",
            "WordOverlap",
            "Words that output and reference share, as F1 over the corpus",
            "arXiv:1606.05250",
            "MetricSuite",
            "metrics",
            filled="[$use, chrf]",
        ),
    )
}
