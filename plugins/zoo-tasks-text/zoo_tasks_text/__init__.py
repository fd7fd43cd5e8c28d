"""Parallel text: corpora, tasks, tokenizers and metrics."""
