"""The conformance kit over options other than the defaults."""

from zoo.testing import ProbeSuite


class TestIndexR2(ProbeSuite):
    component = "zoo-probes/index-r2"
    options = ({"shuffle": False, "within_sentences": False},)


class TestCrossAttentionMass(ProbeSuite):
    component = "zoo-probes/cross-attention-mass"
    options = ({"sink": ["tag", "quote"]},)


class TestRepetition(ProbeSuite):
    component = "zoo-probes/repetition"
    options = ({"unit": "token", "largest": 2},)
