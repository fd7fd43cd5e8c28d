"""The conformance kit over every component that is installed."""

from zoo.testing import conformance_suites

globals().update(conformance_suites())
