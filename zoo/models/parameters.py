"""Facts about a model's parameters."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def count_parameters(model: nn.Module, *, trainable_only: bool = False) -> int:
    """Number of parameters; a matrix that several names share counts once."""
    return sum(item.numel() for item in model.parameters() if item.requires_grad or not trainable_only)


def weights_hash(model: nn.Module) -> str:
    """``sha256:`` over name, type, shape and bytes of every tensor that would be saved, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        held = tensor.detach().cpu().contiguous()
        digest.update(f"{name}\0{held.dtype}\0{tuple(held.shape)}\0".encode())
        # A scalar has no last dimension to view as bytes.
        digest.update(held.reshape(-1).view(torch.uint8).numpy().tobytes())
    return f"sha256:{digest.hexdigest()}"
