"""Generators of images for zoo, and digits to compare them on."""
