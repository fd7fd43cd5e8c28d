"""Weights and state on disk: checkpoints, what a resumed run reads back, averages."""
