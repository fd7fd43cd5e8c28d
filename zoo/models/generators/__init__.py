"""Generators of images: what the core asks of them, and the transformers model that holds one."""

from zoo.models.generators.contracts import Generator, Shape

__all__ = ["Generator", "Shape"]
