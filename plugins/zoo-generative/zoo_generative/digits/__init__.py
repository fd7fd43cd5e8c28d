"""Rendered digits: the task, what reads them, and the metrics."""
