"""Lines of text as images."""
