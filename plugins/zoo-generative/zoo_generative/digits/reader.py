"""What reads digits: a small convolutional network, trained on rendered ones and tried on others.

It also learns what no digit is: one that must choose reads digits of all kinds into noise, so that noise would cover
the modes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.models.seeding import own_randomness

REQUIRED = 0.995
"""A reader that reads less of the digits that it has not seen is not used."""
REJECTED = 0.98
"""Nor is one that rejects less of what is no digit: of a hundred thousand images of noise one has a mode then."""
VERSION = 1
"""Raise it with any change that reads otherwise."""
_NONE_TRIED = 1000
_PASSES = 300, 30
"""So many, and so many more for each digit."""
_BATCH, _READ_AT_ONCE = 128, 4096


class DigitReader(nn.Module):
    """Grey digits ``[N, size, size]`` -> the logits of `classes` digits and, the last, of none of them."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.classes, self.size = classes, size
        self.first = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.second = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.last = nn.Linear(32 * (size // 4) ** 2, classes + 1)

    def forward(self, digits: Tensor) -> Tensor:
        """digits float ``[N, size, size]``, 0 to 1 -> ``[N, classes + 1]``."""
        states = F.relu(self.first(digits[:, None]))  # [N, 16, size / 2, size / 2]
        states = F.relu(self.second(states))  # [N, 32, size / 4, size / 4]
        logits: Tensor = self.last(states.flatten(1))
        return logits

    @torch.no_grad()
    def read(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
        """The digit in each colour of images ``[size, size, 3]``, `classes` where there is none: ``[B, 3]``."""
        found = []
        for start in range(0, len(images), _READ_AT_ONCE):
            some = torch.from_numpy(np.stack(images[start : start + _READ_AT_ONCE]))  # [b, size, size, 3]
            grey = some.permute(0, 3, 1, 2).flatten(0, 1).float() / 255  # [b * 3, size, size]
            found.append(self(grey).argmax(1).reshape(-1, some.shape[-1]))
        return torch.cat(found).numpy()  # [B, 3]


def trained(digits: NDArray[np.uint8]) -> DigitReader:
    """A reader of ``[classes, variants, size, size]``. The same digits give the same one, up to rounding."""
    classes, variants, size, _ = digits.shape
    images = torch.from_numpy(digits).flatten(0, 1).float() / 255  # [classes * variants, size, size]
    labels = torch.arange(classes).repeat_interleave(variants)
    with own_randomness(VERSION, "digit reader"), torch.enable_grad():
        reader = DigitReader(classes, size)
        optimizer = torch.optim.Adam(reader.parameters(), lr=2e-3)
        passes = _PASSES[0] + _PASSES[1] * classes
        for step in range(passes):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * min(1.0, 2 * (1 - step / passes))
            chosen = torch.randint(len(images), (_BATCH,))
            # Generated digits are not as clean: contrast and noise differ from one to the next.
            some = images[chosen] * (0.5 + 0.5 * torch.rand(_BATCH, 1, 1))
            some = (some + 0.2 * torch.rand(_BATCH, 1, 1) * torch.randn_like(some)).clamp(0, 1)
            none = no_digits(_BATCH // 2, images)
            answers = torch.cat((labels[chosen], torch.full((len(none),), classes)))
            optimizer.zero_grad()
            F.cross_entropy(reader(torch.cat((some, none))), answers).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return reader.eval()


def no_digits(count: int, digits: Tensor) -> Tensor:
    """``[count, size, size]``: noise, surfaces that are nearly even, clouds, and digits whose pixels are shuffled, all
    of random contrast; of digits ``[N, size, size]``."""
    size = digits.shape[-1]

    def strength() -> Tensor:
        return torch.rand(count, 1, 1)

    noise = torch.randn(count, size, size)
    coarse = torch.randn(count, 1, size // 4, size // 4)
    clouds = F.interpolate(coarse, size=(size, size), mode="bilinear")[:, 0]
    some = digits[torch.randint(len(digits), (count,))].flatten(1)  # [count, size * size]
    shuffled = some[:, torch.randperm(size**2)].reshape(-1, size, size)
    kinds = torch.stack(
        (
            strength() + strength() * noise,
            strength() * strength() + 0.1 * strength() * noise,
            strength() * strength() + strength() * clouds + 0.2 * strength() * noise,
            strength() * shuffled,
        )
    )  # [4, count, size, size]
    return kinds[torch.randint(len(kinds), (count,)), torch.arange(count)].clamp(0, 1)


@torch.no_grad()
def rejected(reader: DigitReader, digits: NDArray[np.uint8]) -> float:
    """The share of what is no digit that is not taken for one; see `no_digits`."""
    with own_randomness(VERSION, "no digits"):
        some = no_digits(_NONE_TRIED, torch.from_numpy(digits).flatten(0, 1).float() / 255)
    return float((reader(some).argmax(1) == reader.classes).double().mean())


@torch.no_grad()
def accuracy(reader: DigitReader, digits: NDArray[np.uint8]) -> float:
    """The share of ``[classes, variants, size, size]`` that is read rightly."""
    images = torch.from_numpy(digits).flatten(0, 1).float() / 255
    labels = torch.arange(digits.shape[0]).repeat_interleave(digits.shape[1])
    return float((reader(images).argmax(1) == labels).double().mean())


def verified(digits: NDArray[np.uint8], unseen: NDArray[np.uint8]) -> tuple[DigitReader, dict[str, float]]:
    """A reader of `digits`, its `accuracy` on `unseen` ones, and the share that it has `rejected` of what is none.

    Raises ZooError where the first is below `REQUIRED` or the second below `REJECTED`.
    """
    reader = trained(digits)
    found = {"accuracy": accuracy(reader, unseen), "rejected": rejected(reader, unseen)}
    if found["accuracy"] < REQUIRED or found["rejected"] < REJECTED:
        raise ZooError(
            f"the reader of digits reads {found['accuracy']:.2%} of those that it has not seen ({REQUIRED:.1%} are "
            f"needed), and rejects {found['rejected']:.2%} of what is none ({REJECTED:.0%} are needed): raise the "
            "task's size"
        )
    return reader, found


def save(reader: DigitReader, path: Path, found: dict[str, float]) -> None:
    """Write weights, sizes and what `verified` found to a safetensors file."""
    facts = {"classes": reader.classes, "size": reader.size, "found": found}
    save_file(dict(reader.state_dict()), path, metadata={"reader": json.dumps(facts)})


@lru_cache(maxsize=4)
def load(path: Path) -> tuple[DigitReader, dict[str, float]]:
    """The reader in a file, and what `verified` found. Raises ZooError where the file is no reader's."""
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["reader"])
            reader = DigitReader(facts["classes"], facts["size"])
            reader.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        return reader.eval(), dict(facts["found"])
    except Exception as error:  # safetensors' error is of no public class
        raise ZooError(f"{path} is not a reader of digits: {' '.join(str(error).split())[:200]}") from error
