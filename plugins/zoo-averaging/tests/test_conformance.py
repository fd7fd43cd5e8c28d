"""The conformance kit over options other than the defaults."""

from zoo.testing import AveragingSuite, ScheduleSuite


class TestEma(AveragingSuite):
    component = "zoo-averaging/ema"
    options = ({}, {"decay": 0.9, "warmup": False}, {"decay": 0.0})


class TestSwa(AveragingSuite):
    component = "zoo-averaging/swa"
    options = ({}, {"start": 200, "every": 7})


class TestLastK(AveragingSuite):
    component = "zoo-averaging/last-k"
    options = ({}, {"k": 1}, {"k": 3, "every": 2})


class TestSwaSchedule(ScheduleSuite):
    component = "zoo-averaging/swa"
    options = (
        {"start": 3, "rate": 2.0, "before": {"use": "zoo-averaging/swa", "rate": 1.0}},
        {"start": 0.5, "rate": 1.0, "low": 0.1, "cycle": 7},
    )
