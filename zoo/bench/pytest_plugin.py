"""pytest --benchmark: one item per cell."""
