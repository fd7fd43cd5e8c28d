"""Training losses per token."""
