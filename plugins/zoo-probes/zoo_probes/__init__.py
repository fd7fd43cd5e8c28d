"""Probes of what a model uses and what it ignores."""
