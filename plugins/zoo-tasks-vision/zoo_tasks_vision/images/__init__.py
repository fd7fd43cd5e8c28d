"""Sets of images on disk."""
