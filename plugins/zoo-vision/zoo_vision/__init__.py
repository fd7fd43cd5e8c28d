"""Resize policies and patch positions for zoo."""
