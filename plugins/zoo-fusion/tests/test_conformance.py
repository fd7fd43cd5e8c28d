"""The conformance kit over options other than the defaults."""

from zoo.testing import FusionSuite, OutputFusionSuite


class TestFreeScalar(FusionSuite):
    component = "zoo-fusion/free-scalar"
    options = (
        {"normalize_layers": True, "prior": 2.0},
        {"weights": "softmax", "include_embeddings": False},
        {"embeddings_before_positions": True, "initial": 0.0, "prior": [0.5, 0.0, 1.0, 2.0]},
    )


class TestTransparent(FusionSuite):
    component = "zoo-fusion/transparent"
    options = ({"normalize": False, "include_embeddings": False},)


class TestFineGrained(FusionSuite):
    component = "zoo-fusion/fine-grained"
    options = ({"normalize": False, "dropout": 0.5},)


class TestSurfaceHard(OutputFusionSuite):
    component = "zoo-fusion/surface-hard"
    options = ({"decoder_share": 0.3},)
