"""The kinds that the core itself hosts. It names kinds, never components."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.registry.hooks import hookimpl
from zoo.registry.kind import Kind

_MODELS = "zoo.models.contracts"
_VISION = "zoo.models.vision"
_TRAINING = "zoo.training.contracts"
_TASKS = "zoo.tasks.contracts"
_BENCH = "zoo.bench.executor"
_PROBES = "zoo.probes"


@hookimpl
def zoo_kinds() -> Iterator[Kind]:
    yield Kind(
        "position",
        "How a model knows the order of its tokens",
        f"{_MODELS}:Position",
        suite="zoo.testing.position:PositionSuite",
    )
    yield Kind(
        "normalization",
        "Normalisation of a feature vector",
        f"{_MODELS}:Normalization",
        suite="zoo.testing.layers:NormalizationSuite",
    )
    yield Kind(
        "activation",
        "Element-wise non-linearity of a feed-forward layer",
        f"{_MODELS}:Activation",
        suite="zoo.testing.layers:ActivationSuite",
    )
    yield Kind(
        "feedforward",
        "Position-wise feed-forward layer",
        f"{_MODELS}:Feedforward",
        suite="zoo.testing.layers:FeedforwardSuite",
    )
    yield Kind(
        "block",
        "Where the residual connections and normalisations of a layer stand",
        f"{_MODELS}:Block",
        suite="zoo.testing.layers:BlockSuite",
    )
    yield Kind(
        "initialization",
        "How the weight matrices of the layers start",
        f"{_MODELS}:Initialization",
        suite="zoo.testing.initialization:InitializationSuite",
    )
    yield Kind(
        "fusion",
        "What the decoder's cross-attention reads from the encoder's layers",
        f"{_MODELS}:Fusion",
        suite="zoo.testing.layers:FusionSuite",
    )
    yield Kind(
        "output-fusion",
        "What the source adds to the scores of the next token",
        f"{_MODELS}:OutputFusion",
        suite="zoo.testing.output_fusion:OutputFusionSuite",
    )
    yield Kind(
        "context-encoder",
        "How a second source (context) enters the model",
        f"{_MODELS}:ContextEncoder",
        options_base="zoo.spec.context:ContextOptions",
        suite="zoo.testing.context_encoder:ContextEncoderSuite",
    )
    yield Kind(
        "image-input",
        "How an image is resized and padded before it is cut into patches",
        "zoo.images.inputs:ImageInput",
        suite="zoo.testing.image_input:ImageInputSuite",
    )
    yield Kind(
        "patch-position",
        "How an image encoder knows where its patches stand",
        f"{_VISION}.contracts:PatchPosition",
        suite="zoo.testing.patch_position:PatchPositionSuite",
    )
    yield Kind(
        "decoding",
        "How outputs are chosen from a model's probabilities",
        "zoo.models.decoding:Decoding",
        suite="zoo.testing.decoding:DecodingSuite",
    )
    yield Kind(
        "box-loss",
        "How far a predicted box is from the one it should be",
        "zoo.models.boxes.contracts:BoxLoss",
        suite="zoo.testing.box_loss:BoxLossSuite",
    )
    yield Kind(
        "matcher",
        "Which predicted boxes answer for which true ones",
        "zoo.models.detection.contracts:Matcher",
        suite="zoo.testing.matcher:MatcherSuite",
    )
    yield Kind(
        "detector",
        "What finds boxes in images, with losses of its own",
        "zoo.models.detection.contracts:Detector",
        suite="zoo.testing.detector:DetectorSuite",
    )
    yield Kind(
        "peer",
        "What does a task as it comes, and is evaluated beside the models that are trained for it",
        "zoo.tasks.peers:Peer",
        suite="zoo.testing.peer:PeerSuite",
    )
    yield Kind(
        "generator",
        "What learns a distribution of images and draws from it, with losses of its own",
        "zoo.models.generators.contracts:Generator",
        suite="zoo.testing.generator:GeneratorSuite",
    )
    yield Kind(
        "token-loss",
        "Training loss per target token",
        f"{_TRAINING}:TokenLoss",
        suite="zoo.testing.training:TokenLossSuite",
    )
    yield Kind(
        "optimizer",
        "Optimizer over named parameters",
        f"{_TRAINING}:OptimizerFactory",
        suite="zoo.testing.training:OptimizerSuite",
    )
    yield Kind(
        "clipping",
        "What is done to gradients before each optimizer step",
        f"{_TRAINING}:Clipping",
        suite="zoo.testing.training:ClippingSuite",
    )
    yield Kind(
        "update-clipping",
        "How large an optimizer's step may be in each tensor",
        f"{_TRAINING}:UpdateClipping",
        suite="zoo.testing.update_clipping:UpdateClippingSuite",
    )
    yield Kind(
        "schedule",
        "Learning rate as a function of the step",
        f"{_TRAINING}:Schedule",
        suite="zoo.testing.training:ScheduleSuite",
    )
    yield Kind(
        "averaging",
        "How the weights of several training steps become the model's",
        "zoo.training.averaging:Averaging",
        options_base="zoo.spec.averaging:AveragingOptions",
        suite="zoo.testing.averaging:AveragingSuite",
    )
    yield Kind(
        "exporter",
        "How a trained model becomes another program's",
        "zoo.export.contracts:Exporter",
        suite="zoo.testing.exporter:ExporterSuite",
    )
    yield Kind(
        "corpus",
        "Parallel text with splits, document ids and a licence",
        f"{_TASKS}:Corpus",
        suite="zoo.testing.tasks:CorpusSuite",
    )
    yield Kind("task", "What a model is trained to do", f"{_TASKS}:Task", suite="zoo.testing.tasks:TaskSuite")
    yield Kind(
        "tokenizer",
        "How text becomes token ids, trained on a task's training split",
        f"{_TASKS}:TokenizerSource",
        suite="zoo.testing.tasks:TokenizerSuite",
    )
    yield Kind(
        "metric",
        "Quality of outputs against references: value, direction, unit, signature, interval",
        f"{_TASKS}:Metric",
        suite="zoo.testing.metrics:MetricSuite",
    )
    yield Kind(
        "probe",
        "What is read off a model, changing nothing",
        f"{_PROBES}.contracts:Probe",
        options_base=f"{_PROBES}.options:ProbeOptions",
        suite="zoo.testing.probe:ProbeSuite",
    )
    yield Kind(
        "executor",
        "What runs the cells of a sweep, and where",
        f"{_BENCH}:Executor",
        suite="zoo.testing.executors:ExecutorSuite",
    )
