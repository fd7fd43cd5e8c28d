"""What gradient the rows of embedding tables get, by how often their tokens stand in the training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from zoo.training.data.ragged import Encoded, Ragged

_CHUNK = 1 << 22
"""Tokens counted at once: numpy makes 8-byte copies of the ids that it counts."""

Counts = npt.NDArray[np.int64]


class TokenGradients:
    """Measures the gradient of every matrix that has a row for each token.

    Bands of frequency are powers of ten: tokens seen 0 times, 1 to 9, 10 to 99, and so on. What is told of a band is
    the root mean square, over its tokens, of the L2 norm of a row's gradient, so that bands of different sizes compare.
    A table that sources and targets share counts its tokens on both sides. The parts are called `tokens` (a shared
    table's), `source tokens`, `target tokens`, and `output tokens` (an output matrix that is tied to no table).
    """

    def __init__(self, model: Any, examples: Encoded) -> None:
        self._bands = [
            (parameter, name, *_bands(_counted(sides, len(parameter)), parameter.device))
            for name, parameter, sides in _tables(model, examples)
        ]

    def sizes(self) -> dict[str, int]:
        """The number of tokens in each band, empty bands left out."""
        return {part: size for part, _, size in self._parts()}

    def measure(self, name: str) -> Mapping[str, Tensor]:
        """The present gradients by ``<part> <band>.<name>``: scalars ``[]`` on their device, which nobody waits for."""
        found = {}
        for parameter, _, _, places, sizes in self._bands:
            total = torch.zeros_like(sizes, dtype=torch.float32)  # [K]
            if parameter.grad is not None:
                squares = parameter.grad.float().square().sum(1)  # [V]
                total.index_add_(0, places, squares)
            found[parameter] = (total / sizes.clamp(min=1)).sqrt()  # [K]
        return {f"{part}.{name}": found[parameter][place] for part, (parameter, place), _ in self._parts()}

    def _parts(self) -> Iterator[tuple[str, tuple[nn.Parameter, int], int]]:
        """Name, place and number of tokens of every band that has any."""
        for parameter, name, counted, _, _ in self._bands:
            for place, size in enumerate(counted):
                if size:
                    yield f"{name} {_band_name(place)}", (parameter, place), size


def _tables(model: Any, examples: Encoded) -> Iterator[tuple[str, nn.Parameter, tuple[Ragged, ...]]]:
    """Name, matrix ``[V, D]`` and the sides whose tokens it stands for, of every trained one."""
    encoder, decoder = (_embedding(model, side) for side in ("encoder", "decoder"))
    sources = tuple(side for side in examples.sides if side is not examples.targets)
    if encoder is None or encoder is decoder:
        found = [("tokens", decoder, examples.sides)]
    else:
        found = [("source tokens", encoder, sources), ("target tokens", decoder, (examples.targets,))]
    head = model.get_output_embeddings().weight
    if head is not decoder:
        found.append(("output tokens", head, (examples.targets,)))
    for name, parameter, sides in found:
        if parameter is not None and parameter.requires_grad:
            yield name, parameter, sides


def _embedding(model: Any, side: str) -> nn.Parameter | None:
    stack = getattr(model, side, None)
    table: nn.Parameter | None = getattr(getattr(stack, "embed_tokens", None), "weight", None)
    return table


def _counted(sides: tuple[Ragged, ...], rows: int) -> Counts:
    """How often each token stands on these sides together, ``[V]``."""
    counts: Counts = np.zeros(rows, np.int64)
    for side in sides:
        for start in range(0, len(side.ids), _CHUNK):
            counts += np.bincount(side.ids[start : start + _CHUNK], minlength=rows)
    return counts


def _bands(counts: Counts, device: torch.device) -> tuple[list[int], Tensor, Tensor]:
    """Tokens in each of K bands, as numbers; the band of each token ``[V]``; the first again, as a tensor ``[K]``."""
    lowest = [10**exponent for exponent in range(len(str(int(counts.max(initial=0)))))]  # of every band but the first
    places = np.searchsorted(np.array(lowest), counts, side="right")  # [V]
    sizes = np.bincount(places)  # [K]
    return sizes.tolist(), torch.from_numpy(places).to(device), torch.from_numpy(sizes).to(device)


def _band_name(place: int) -> str:
    return "0" if place == 0 else f"{10 ** (place - 1)}-{10**place - 1}"
