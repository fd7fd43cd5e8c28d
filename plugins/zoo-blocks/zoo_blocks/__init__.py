"""Layer blocks, normalisations, activations, feed-forward layers and initialisations."""
