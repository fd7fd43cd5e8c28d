"""Vocabulary surgery for zoo."""
