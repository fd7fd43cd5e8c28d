"""The conformance kit over options other than the defaults."""

from zoo.testing import PositionSuite


class TestSinusoidal(PositionSuite):
    component = "zoo-positional/sinusoidal"
    options = ({"layout": "interleaved"}, {"base": 500.0})


class TestLearned(PositionSuite):
    component = "zoo-positional/learned"
    options = ({"std": 1.0},)


class TestRotary(PositionSuite):
    component = "zoo-positional/rotary"
    options = ({"layout": "interleaved"}, {"base": 500.0})


class TestAlibi(PositionSuite):
    component = "zoo-positional/alibi"
    options = ({"exponent": 4.0},)
