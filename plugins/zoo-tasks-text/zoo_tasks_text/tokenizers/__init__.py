"""Tokenizers, trained on a task's training split."""
