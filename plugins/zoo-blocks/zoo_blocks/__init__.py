"""Layer blocks, normalisations, activations and feed-forward layers."""
