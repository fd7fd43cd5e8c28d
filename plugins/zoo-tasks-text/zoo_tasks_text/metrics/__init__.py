"""Quality of outputs against references, one metric a file."""
