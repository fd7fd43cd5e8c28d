"""Encoder-layer fusion."""
