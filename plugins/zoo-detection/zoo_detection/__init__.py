"""Detectors and matchers for zoo."""
