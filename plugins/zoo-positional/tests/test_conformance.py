"""The conformance kit over options other than the defaults."""

from zoo.testing import PositionSuite


class TestSinusoidal(PositionSuite):
    component = "zoo-positional/sinusoidal"
    options = ({"layout": "interleaved"}, {"base": 500.0})


class TestShape(PositionSuite):
    component = "zoo-positional/shape"
    options = ({"evaluation_offset": 7}, {"evaluation_offset": 0, "max_offset": 3, "layout": "interleaved"})


class TestLearned(PositionSuite):
    component = "zoo-positional/learned"
    options = ({"std": 1.0},)


class TestShaw(PositionSuite):
    component = "zoo-positional/shaw"
    options = ({"clip": 1}, {"clip": 3, "values": False})


class TestT5(PositionSuite):
    component = "zoo-positional/t5"
    options = ({"buckets": 8, "max_distance": 20},)


class TestRotary(PositionSuite):
    component = "zoo-positional/rotary"
    options = (
        {"layout": "interleaved"},
        {"base": 500.0},
        {"values": "rotate"},
        {"values": "inverse", "layout": "interleaved"},
    )


class TestAlibi(PositionSuite):
    component = "zoo-positional/alibi"
    options = ({"exponent": 4.0}, {"shape": "asymmetric", "slopes": "marian"})


class TestPTransformer(PositionSuite):
    component = "zoo-positional/p-transformer"
    options = ({"relative": "none", "layout": "interleaved"}, {"relative": "shaw-keys-and-values", "clip": 2})


class TestDeberta(PositionSuite):
    component = "zoo-positional/deberta"
    options = ({"clip": 4},)


class TestTransformerXl(PositionSuite):
    component = "zoo-positional/transformer-xl"
    options = ({"clip": 4},)


class TestSum(PositionSuite):
    component = "zoo-positional/sum"
    options = (
        {"of": ["sinusoidal", {"use": "shaw", "clip": 2}]},
        {"of": ["alibi", "t5"]},
        {"of": [{"use": "rotary", "values": "inverse"}, "deberta", {"use": "sum", "of": ["learned"]}]},
    )
