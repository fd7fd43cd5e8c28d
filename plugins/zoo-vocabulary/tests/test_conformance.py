"""The conformance kit over every initialisation, and over options other than the defaults."""

from zoo_vocabulary.testing import VocabularyInitSuite

from zoo.testing import conformance_suites

globals().update(conformance_suites(distribution="zoo-vocabulary"))


class TestMultivariateNormal(VocabularyInitSuite):
    component = "zoo-vocabulary/multivariate-normal"
    options = ({"scale": 0.001}, {"scale": 0.0})


class TestRandom(VocabularyInitSuite):
    component = "zoo-vocabulary/random"
    options = ({"std": 0.02},)
