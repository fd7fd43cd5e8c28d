"""Several images in one row of patches, and back: one row of states for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from zoo.images.patches import PATCHES


def pack(encoded: Mapping[str, Tensor], rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """Images of a batch laid into rows one after another, without the padding of the batch.

    `encoded` is what `ZooImageProcessor` gives; `rows` says which images stand in which row. The result has
    `segments` ``[rows, N]`` besides: 1, 2, ... number the images of a row, 0 is padding. Their order row by row is
    that of the examples, so of `labels`.
    """
    counts = encoded["patch_grid"][:, 0].prod(-1).tolist()  # patches of each image, padding of its canvas included
    longest = max(sum(counts[image] for image in row) for row in rows)
    packed = {}
    for name in PATCHES:
        source = encoded[name]
        made = source.new_zeros(len(rows), longest, *source.shape[2:])
        if name == "patch_grid":
            made += 1
        for place, row in enumerate(rows):
            pieces = torch.cat([source[image, : counts[image]] for image in row])
            made[place, : len(pieces)] = pieces
        packed[name] = made
    segments = torch.zeros(len(rows), longest, dtype=torch.long)
    for place, row in enumerate(rows):
        lengths = torch.tensor([counts[image] for image in row])
        numbers = torch.arange(1, len(row) + 1).repeat_interleave(lengths)
        segments[place, : len(numbers)] = numbers
    return {**packed, "segments": segments.to(encoded["patch_grid"].device)}


def unpacking(segments: Tensor) -> tuple[Tensor, Tensor]:
    """Where the tokens of each image stand in packed rows: segments ``[B, L]`` (0 = padding) of which a row's are
    numbered 1, 2, ... -> indices ``[M, S]`` into the flattened ``B * L`` tokens, and whether there is one ``[M, S]``.

    M counts the images, row by row; S is the longest. Tokens of an image keep their order and need not be neighbours.
    Reads the device.
    """
    most = int(segments.max())
    belongs = segments[:, None] == torch.arange(1, most + 1, device=segments.device)[:, None]  # [B, K, L]
    owned = belongs.flatten(0, 1)[belongs.any(-1).flatten()]  # [M, L]
    row = belongs.any(-1).nonzero()[:, :1]  # [M, 1]
    longest = int(owned.sum(-1).max())
    order = owned.long().sort(dim=-1, descending=True, stable=True).indices[:, :longest]  # [M, S]
    return row * segments.shape[1] + order, owned.gather(-1, order)
