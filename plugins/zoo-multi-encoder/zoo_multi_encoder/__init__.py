"""A second encoder for context."""
