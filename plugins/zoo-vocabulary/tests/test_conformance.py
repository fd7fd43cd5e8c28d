"""The conformance kit over options other than the defaults."""

from zoo_vocabulary.testing import VocabularyInitSuite


class TestMultivariateNormal(VocabularyInitSuite):
    component = "zoo-vocabulary/multivariate-normal"
    options = ({"scale": 0.001}, {"scale": 0.0})


class TestRandom(VocabularyInitSuite):
    component = "zoo-vocabulary/random"
    options = ({"std": 0.02},)
