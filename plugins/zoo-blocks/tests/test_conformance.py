"""The conformance kit over options other than the defaults."""

from zoo.testing import ActivationSuite, FeedforwardSuite, InitializationSuite, NormalizationSuite


class TestLayerNorm(NormalizationSuite):
    component = "zoo-blocks/layer-norm"
    options = ({"bias": False}, {"eps": 1e-3})


class TestRmsNorm(NormalizationSuite):
    component = "zoo-blocks/rms-norm"
    options = ({"eps": 1e-3},)


class TestLeakyRelu(ActivationSuite):
    component = "zoo-blocks/leaky_relu"
    options = ({"slope": 0.2},)


class TestGelu(ActivationSuite):
    component = "zoo-blocks/gelu"
    options = ({"form": "tanh"},)


class TestMlp(FeedforwardSuite):
    component = "zoo-blocks/mlp"
    options = (
        {"width": 10, "bias": False},
        {"activation": {"use": "gelu", "form": "tanh"}, "dropout": 0.3},
        {"activation": "silu"},
    )


class TestSwiglu(FeedforwardSuite):
    component = "zoo-blocks/swiglu"
    options = ({"width": 10}, {"bias": True})


class TestGlu(FeedforwardSuite):
    component = "zoo-blocks/glu"
    options = (
        {"width": 10, "bias": True, "activation": "identity"},
        {"activation": {"use": "gelu", "form": "tanh"}, "dropout": 0.3},
    )


class TestXavier(InitializationSuite):
    component = "zoo-blocks/xavier"
    options = ({"gain": 0.5, "distribution": "normal"},)


class TestDeepNorm(InitializationSuite):
    component = "zoo-blocks/deep-norm"
    options = ({"distribution": "uniform"},)


class TestDepthScaled(InitializationSuite):
    component = "zoo-blocks/depth-scaled"
    options = ({"of": {"use": "normal", "std": 0.1}}, {"of": "small"})
