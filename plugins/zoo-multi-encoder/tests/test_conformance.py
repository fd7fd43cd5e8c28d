"""The conformance kit over options other than the defaults."""

from zoo.testing import ContextEncoderSuite


class TestOutside(ContextEncoderSuite):
    component = "zoo-multi-encoder/outside"
    options = ({"combine": "sum"},)


class TestInside(ContextEncoderSuite):
    component = "zoo-multi-encoder/inside"
    options = ({"combine": "sum", "share": "weights"},)
