"""Fonts: where they come from, what they can draw, which are held out."""
