"""Instruments: quality, latency, throughput, memory, and what they were taken on. One instrument a file.

Nothing is imported here, so that what measures an export does not import torch.
"""
