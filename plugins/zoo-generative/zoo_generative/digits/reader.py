"""What reads digits: a small convolutional network, trained on rendered ones and tried on others."""

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
VERSION = 1
"""Raise it with any change that reads otherwise."""
_PASSES, _BATCH, _READ_AT_ONCE = 600, 128, 4096


class DigitReader(nn.Module):
    """Grey digits ``[N, size, size]`` -> the logits of `classes`."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.classes, self.size = classes, size
        self.first = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.second = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.last = nn.Linear(32 * (size // 4) ** 2, classes)

    def forward(self, digits: Tensor) -> Tensor:
        """digits float ``[N, size, size]``, 0 to 1 -> ``[N, classes]``."""
        states = F.relu(self.first(digits[:, None]))  # [N, 16, size / 2, size / 2]
        states = F.relu(self.second(states))  # [N, 32, size / 4, size / 4]
        logits: Tensor = self.last(states.flatten(1))
        return logits

    @torch.no_grad()
    def read(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
        """The digit in each colour of images ``[size, size, 3]``: ``[B, 3]``."""
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
        for step in range(_PASSES):
            for group in optimizer.param_groups:
                group["lr"] = 2e-3 * min(1.0, 2 * (1 - step / _PASSES))
            chosen = torch.randint(len(images), (_BATCH,))
            # Generated digits are not as clean: contrast and noise differ from one to the next.
            some = images[chosen] * (0.5 + 0.5 * torch.rand(_BATCH, 1, 1))
            some = (some + 0.2 * torch.rand(_BATCH, 1, 1) * torch.randn_like(some)).clamp(0, 1)
            optimizer.zero_grad()
            F.cross_entropy(reader(some), labels[chosen]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return reader.eval()


@torch.no_grad()
def accuracy(reader: DigitReader, digits: NDArray[np.uint8]) -> float:
    """The share of ``[classes, variants, size, size]`` that is read rightly."""
    images = torch.from_numpy(digits).flatten(0, 1).float() / 255
    labels = torch.arange(digits.shape[0]).repeat_interleave(digits.shape[1])
    return float((reader(images).argmax(1) == labels).double().mean())


def verified(digits: NDArray[np.uint8], unseen: NDArray[np.uint8]) -> tuple[DigitReader, float]:
    """A reader of `digits`, and its accuracy on `unseen` ones. Raises ZooError where that is below `REQUIRED`."""
    reader = trained(digits)
    found = accuracy(reader, unseen)
    if found < REQUIRED:
        raise ZooError(
            f"the reader of digits reads {found:.2%} of those that it has not seen, and {REQUIRED:.1%} are needed: "
            "raise the task's size or variants"
        )
    return reader, found


def save(reader: DigitReader, path: Path, read: float) -> None:
    """Write weights, sizes and accuracy to a safetensors file."""
    facts = {"classes": reader.classes, "size": reader.size, "accuracy": read}
    save_file(dict(reader.state_dict()), path, metadata={"reader": json.dumps(facts)})


@lru_cache(maxsize=4)
def load(path: Path) -> tuple[DigitReader, float]:
    """The reader in a file and its accuracy. Raises ZooError where the file is no reader's."""
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["reader"])
            reader = DigitReader(facts["classes"], facts["size"])
            reader.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        return reader.eval(), float(facts["accuracy"])
    except Exception as error:  # safetensors' error is of no public class
        raise ZooError(f"{path} is not a reader of digits: {' '.join(str(error).split())[:200]}") from error
