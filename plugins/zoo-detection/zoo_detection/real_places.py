"""What takes the place of transformers' own parts in RT-DETR and D-FINE, so that padding changes nothing.

Theirs know nothing of padding: it enters batch statistics, is attended to, and moves boxes, which are shares of the
padded frame. With these parts what lies behind an image stays 0 and is not seen, and boxes are shares of the image
itself. In a batch without padding they compute what transformers' parts do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RealPlaces:
    """Which places of the maps of the batch at hand are of the images: what all parts of a detector look up.

    It holds nothing but while a batch is read.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._maps: list[Tensor] = []
        self.last = self.flat = self.share = torch.empty(0)

    @contextmanager
    def of(self, maps: Sequence[Tensor], share: Tensor) -> Iterator[None]:
        """Of 0 and 1, ``[B, 1, h, w]``, each of another size, the coarsest last; `share` ``[B, 2]`` is the part of the
        frame's width and height that the image has."""
        self._maps = list(maps)
        self.last = maps[-1].flatten(1).bool()[:, None, None]  # [B, 1, 1, h * w]
        self.flat = torch.cat([item.flatten(1) for item in maps], dim=1).bool()  # [B, S]
        self.share = torch.cat((share, share), dim=1)[:, None, None]  # [B, 1, 1, 4]
        try:
            yield
        finally:
            self._forget()

    def at(self, features: Tensor) -> Tensor:
        """Those of a map ``[B, C, h, w]``: ``[B, 1, h, w]`` of 0 and 1."""
        # By comparing, not as keys: while a graph is made of this, sizes are symbols, which have no hash.
        return next(item for item in self._maps if item.shape[-2:] == features.shape[-2:])


class RealNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe and Szegedy 2015) over the images' own places; 0 in the others."""

    def __init__(self, theirs: nn.BatchNorm2d, places: RealPlaces) -> None:
        super().__init__(theirs.num_features, theirs.eps, theirs.momentum)
        self.places = places

    def forward(self, input: Tensor) -> Tensor:
        """``[B, C, h, w]``, of which no more than one place may be an image's."""
        real = self.places.at(input)  # [B, 1, h, w]
        x = input.float()
        if self.training:
            count = real.sum().clamp(min=1)
            mean = (x * real).sum((0, 2, 3)) / count  # [C]
            centred = (x - mean[:, None, None]) * real
            variance = centred.square().sum((0, 2, 3)) / count  # [C]
            self._remember(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        else:
            assert self.running_mean is not None
            assert self.running_var is not None
            centred, variance = (x - self.running_mean[:, None, None]) * real, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.eps)  # [C]
        return (centred * scale[:, None, None] + self.bias[:, None, None] * real).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var), self.momentum)
        self.num_batches_tracked += 1


class SelfAttention(nn.Module):
    """Attention of queries to each other, or of the places of the coarsest map; theirs take no mask for each image."""

    def __init__(self, theirs: Any, heads: int, dropout: float, places: RealPlaces | None = None) -> None:
        """With `places` it attends to those of the images and no others."""
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = theirs.q_proj, theirs.k_proj, theirs.v_proj
        self.o_proj = theirs.o_proj if hasattr(theirs, "o_proj") else theirs.out_proj  # transformers 5 and 4
        self.heads, self.dropout, self.places = heads, dropout, places

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        position_embeddings: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        """``[B, S, D]``; `attention_mask` ``[B, 1, S, S]`` is True for what may be seen."""
        if self.places is not None:
            attention_mask = self.places.last  # [B, 1, 1, S]
        placed = hidden_states if position_embeddings is None else hidden_states + position_embeddings
        queries, keys, values = (
            projection(item).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, S, D / heads]
            for projection, item in ((self.q_proj, placed), (self.k_proj, placed), (self.v_proj, hidden_states))
        )
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=attention_mask, dropout_p=dropout)
        return self.o_proj(mixed.transpose(1, 2).flatten(2)), None


class InFrame(nn.Module):
    """transformers' deformable attention from boxes that are shares of the image: it looks them up in the frame."""

    def __init__(self, theirs: nn.Module, places: RealPlaces) -> None:
        super().__init__()
        self.theirs, self.places = theirs, places

    def forward(self, *args: Any, reference_points: Tensor, **kwargs: Any) -> Any:
        """`reference_points` ``[B, Q, 1, 4]``."""
        if hasattr(self.theirs, "value_proj"):  # it has a bias, which padding is not to bring in
            kwargs["attention_mask"] = self.places.flat
        placed = (reference_points * self.places.share).to(reference_points.dtype)
        return self.theirs(*args, reference_points=placed, **kwargs)


def leave_padding_out(model: nn.Module, places: RealPlaces, heads: int, dropout: float) -> None:
    """Change the parts of transformers' `RTDetrModel` or `DFineModel`, in place."""
    module: Any
    for module in list(model.modules()):
        if hasattr(module, "build_2d_sincos_position_embedding"):  # transformers 4
            module.build_2d_sincos_position_embedding = sine_positions
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, RealNorm(child, places))
            elif name == "position_embedding":
                module.position_embedding = SinePositions(child.embed_dim, child.temperature)
            elif name == "encoder_attn":
                module.encoder_attn = InFrame(child, places)
            elif name == "self_attn" and hasattr(module, "encoder_attn"):  # a layer of the decoder
                module.self_attn = SelfAttention(child, heads, 0.0)
            elif name == "self_attn":
                module.self_attn = SelfAttention(child, heads, dropout, places)


class SinePositions(nn.Module):
    """Sines and cosines of the row and of the column of a map's places, as transformers 5 has them.

    Its own are kept for each size, which no graph can do, and transformers 4 counts places column by column, though
    maps are laid out row by row: on any that is not square positions would depend on the padding.
    """

    def __init__(self, width: int, temperature: float) -> None:
        super().__init__()
        self.width, self.temperature = width, temperature

    def forward(self, *, height: int, width: int, device: Any, dtype: torch.dtype) -> Tensor:
        """``[1, height * width, D]``, row by row."""
        return sine_positions(width, height, self.width, self.temperature, device, dtype)


def sine_positions(
    width: int, height: int, channels: int, temperature: float, device: Any = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """``[1, height * width, channels]``: a quarter of the channels each for sines and cosines of the row, and of the
    column, their frequencies from 1 down to about 1 / `temperature`."""
    steps = torch.arange(channels // 4, dtype=torch.float64, device=device) / (channels // 4)
    frequencies = 1.0 / temperature**steps  # [channels / 4]
    angles = [
        torch.arange(side, dtype=torch.float64, device=device)[:, None] * frequencies for side in (height, width)
    ]  # [height, channels / 4], [width, channels / 4]
    rows = torch.cat((angles[0].sin(), angles[0].cos()), -1)[:, None].expand(-1, width, -1)
    columns = torch.cat((angles[1].sin(), angles[1].cos()), -1)[None].expand(height, -1, -1)
    return torch.cat((rows, columns), -1).flatten(0, 1)[None].to(dtype)
