"""The conformance kit over options other than the defaults."""

from zoo.testing import ContextEncoderSuite


class TestOutside(ContextEncoderSuite):
    component = "zoo-multi-encoder/outside"
    options = ({"combine": "sum"}, {"combine": "scalar-gate"})


class TestInside(ContextEncoderSuite):
    component = "zoo-multi-encoder/inside"
    options = ({"combine": "sum", "share": "weights"},)
