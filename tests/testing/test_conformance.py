"""The conformance kit over every component that is installed."""

import pytest

from zoo.testing import conformance_suites

NEVER_MEET_TRANSFORMERS = {
    "box-loss",
    "clipping",
    "corpus",
    "executor",
    "matcher",
    "metric",
    "optimizer",
    "peer",
    "schedule",
    "task",
    "token-loss",
    "update-clipping",
}
"""Kinds whose suites are the same on both lines of transformers."""

suites = conformance_suites()
for suite in suites.values():
    if suite.kind in NEVER_MEET_TRANSFORMERS:
        suite.pytestmark = [pytest.mark.once]  # type: ignore[attr-defined]
globals().update(suites)
