"""The conformance kit over options other than the defaults."""

from zoo.testing import DecodingSuite


class TestGreedy(DecodingSuite):
    component = "zoo-decoding/greedy"
    options = ({"no_repeat_ngram": 1}, {"repetition_penalty": 1.7, "min_new_tokens": 6})


class TestBeam(DecodingSuite):
    component = "zoo-decoding/beam"
    options = ({"width": 3, "no_repeat_ngram": 2}, {"width": 5, "length_penalty": 0.2, "early_stopping": True})


class TestSampling(DecodingSuite):
    component = "zoo-decoding/sampling"
    options = (
        {"temperature": 0.7, "top_k": 5, "no_repeat_ngram": 1},
        {"temperature": 1.5, "top_p": 0.8, "min_p": 0.02, "seed": 9},
    )
