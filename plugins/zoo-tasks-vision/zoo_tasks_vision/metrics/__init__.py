"""What outputs on images are scored by."""
