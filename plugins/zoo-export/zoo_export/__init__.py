"""Exporters for zoo."""
