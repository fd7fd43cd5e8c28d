"""The conformance kit: what every component must do, as pytest classes. Needs ``pip install zoo-registry[bench]``.

A plugin author writes one class for each component::

    from zoo.testing import PositionSuite

    class TestRotary(PositionSuite):
        component = "zoo-positional/rotary"
        options = [{}, {"layout": "interleaved"}]

or has one written for each of the plugin's components, each tried with its defaults::

    globals().update(conformance_suites(distribution="zoo-positional"))

Parts of a model are also put into a small model (`InAModel`), beside plain components that come with the kit
(`zoo.testing.plain`): cached and uncached, padded on either side, saved, in bfloat16, compiled, too long, empty. Those
that a language model has a slot for are put into two of these as well (`InALanguageModel`).

Three traits of a component's record speak to the kit, whatever its kind (a suite says which others it reads; `InAModel`
reads ``compile`` and ``gradient``):

- ``example``: options to try the component with, where its defaults are not enough (a required key) or too large for
  a test (a vocabulary of thousands). Documentation shows them too.
- ``network``: true where the component fetches something; it is tried only if ``ZOO_TEST_NETWORK=1`` is set.
- ``files``: true where the component needs files of the user; only a class that gives `options` tries it.
"""

import pytest

# Before the suites are imported: their assertions then explain themselves in other people's test runs too.
pytest.register_assert_rewrite(
    "zoo.testing.attention",
    "zoo.testing.averaging",
    "zoo.testing.box_loss",
    "zoo.testing.context_encoder",
    "zoo.testing.image_input",
    "zoo.testing.in_an_image_model",
    "zoo.testing.patch_position",
    "zoo.testing.suite",
    "zoo.testing.module",
    "zoo.testing.in_a_model",
    "zoo.testing.in_a_language_model",
    "zoo.testing.position",
    "zoo.testing.layers",
    "zoo.testing.initialization",
    "zoo.testing.matcher",
    "zoo.testing.output_fusion",
    "zoo.testing.decoding",
    "zoo.testing.detector",
    "zoo.testing.generator",
    "zoo.testing.training",
    "zoo.testing.update_clipping",
    "zoo.testing.tasks",
    "zoo.testing.metrics",
    "zoo.testing.executors",
    "zoo.testing.probe",
)

from zoo.testing.averaging import AveragingSuite  # noqa: E402
from zoo.testing.box_loss import BoxLossSuite  # noqa: E402
from zoo.testing.conformance import conformance_suites  # noqa: E402
from zoo.testing.context_encoder import ContextEncoderSuite  # noqa: E402
from zoo.testing.decoding import DecodingSuite  # noqa: E402
from zoo.testing.detector import DetectorSuite  # noqa: E402
from zoo.testing.executors import ExecutorSuite  # noqa: E402
from zoo.testing.generator import GeneratorSuite  # noqa: E402
from zoo.testing.image_input import ImageInputSuite  # noqa: E402
from zoo.testing.in_a_language_model import InALanguageModel  # noqa: E402
from zoo.testing.in_a_model import InAModel  # noqa: E402
from zoo.testing.initialization import InitializationSuite  # noqa: E402
from zoo.testing.layers import (  # noqa: E402
    ActivationSuite,
    BlockSuite,
    FeedforwardSuite,
    FusionSuite,
    NormalizationSuite,
)
from zoo.testing.matcher import MatcherSuite  # noqa: E402
from zoo.testing.metrics import MetricData, MetricSuite  # noqa: E402
from zoo.testing.module import ModuleSuite  # noqa: E402
from zoo.testing.output_fusion import OutputFusionSuite  # noqa: E402
from zoo.testing.patch_position import PatchPositionSuite  # noqa: E402
from zoo.testing.peer import PeerSuite  # noqa: E402
from zoo.testing.position import PositionSuite  # noqa: E402
from zoo.testing.probe import ProbeSuite  # noqa: E402
from zoo.testing.suite import ComponentSuite  # noqa: E402
from zoo.testing.tasks import CorpusSuite, TaskSuite, TokenizerSuite  # noqa: E402
from zoo.testing.training import ClippingSuite, OptimizerSuite, ScheduleSuite, TokenLossSuite  # noqa: E402
from zoo.testing.update_clipping import UpdateClippingSuite  # noqa: E402

__all__ = [
    "ActivationSuite",
    "AveragingSuite",
    "BlockSuite",
    "BoxLossSuite",
    "ClippingSuite",
    "ComponentSuite",
    "ContextEncoderSuite",
    "CorpusSuite",
    "DecodingSuite",
    "DetectorSuite",
    "ExecutorSuite",
    "FeedforwardSuite",
    "FusionSuite",
    "GeneratorSuite",
    "ImageInputSuite",
    "InALanguageModel",
    "InAModel",
    "InitializationSuite",
    "MatcherSuite",
    "MetricData",
    "MetricSuite",
    "ModuleSuite",
    "NormalizationSuite",
    "OptimizerSuite",
    "OutputFusionSuite",
    "PatchPositionSuite",
    "PeerSuite",
    "PositionSuite",
    "ProbeSuite",
    "ScheduleSuite",
    "TaskSuite",
    "TokenLossSuite",
    "TokenizerSuite",
    "UpdateClippingSuite",
    "conformance_suites",
]
