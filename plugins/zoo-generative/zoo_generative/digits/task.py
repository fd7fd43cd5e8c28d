"""The task: images of three digits, one in each colour."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np
import PIL
from numpy.typing import NDArray

from zoo.atomic import atomic_directory, locked, swept, write_atomic
from zoo.errors import ZooError
from zoo.tasks import DataHome, Example, PreparedTask, Split, Task
from zoo.tasks.contracts import SPLITS, Progress, silent
from zoo_generative.digits import reader, rendering
from zoo_generative.options import StackedDigitsOptions

CHANNELS = 3
FACTS, READER = "facts.json", "reader.safetensors"
_UNSEEN = 5
"""The development and test splits have a fifth of the renderings, each their own."""
_TAUGHT, _TRIED = 500, 200
"""Renderings of each digit that the reader is trained on, and that it is tried on: no image is made of them."""


class StackedDigits(Task):
    """Stacked MNIST (Metz et al. 2016, section 3.3.1) with rendered digits: each of the classes^3 modes is as frequent
    as any other. The splits share no rendering of a digit."""

    options: StackedDigitsOptions

    @property
    def name(self) -> str:
        """``stacked-digits-<modes>``."""
        return f"stacked-digits-{self.options.classes**CHANNELS}"

    def prepare(self, home: DataHome, progress: Progress = silent) -> PreparedDigits:
        """Render the digits and train their reader, or take what an earlier run left.

        Raises ZooError where Pillow cannot render, or the reader does not read digits that it has not seen.
        """
        recipe = {"rendering": rendering.VERSION, "reader": reader.VERSION, "pillow": PIL.__version__}
        identity = json.dumps({**recipe, **self.options.plain()}, sort_keys=True)
        folder = home.images / f"stacked-digits-{hashlib.sha256(identity.encode()).hexdigest()[:20]}"
        with locked(home.images / f"{folder.name}.lock"):
            if not folder.is_dir():
                progress("digits", 0, 0)
                with swept(home.images), atomic_directory(folder) as temporary:
                    _write(self.options, temporary)
        return PreparedDigits(folder, self.options)


def _write(options: StackedDigitsOptions, folder: Path) -> None:
    draw = np.random.Generator(np.random.PCG64(np.random.SeedSequence((options.seed, rendering.VERSION))))
    digest = hashlib.sha256()
    for split in SPLITS:
        count = options.variants if split == "train" else max(1, options.variants // _UNSEEN)
        pool = rendering.rendered(options.classes, count, options.size, draw)
        digits = draw.integers(0, options.classes, (getattr(options, split), CHANNELS))
        variants = draw.integers(0, count, digits.shape)
        picks = np.stack((digits, variants), axis=-1).astype(np.int32)  # [N, 3, 2]
        for name, array in (("digits", pool), ("picks", picks)):
            np.save(folder / f"{split}-{name}.npy", array)
            digest.update(f"{split} {name} {array.shape}".encode() + array.tobytes())
    taught, unseen = (rendering.rendered(options.classes, count, options.size, draw) for count in (_TAUGHT, _TRIED))
    trained, found = reader.verified(taught, unseen)
    reader.save(trained, folder / READER, found)
    facts = {
        "revision": f"sha256:{digest.hexdigest()}",
        "modes": options.classes**CHANNELS,
        **{f"reader_{name}": value for name, value in found.items()},
        "reader_tried_on": int(unseen.shape[0] * unseen.shape[1]),
        "rendered_with": {"pillow": PIL.__version__},
    }
    write_atomic(folder / FACTS, json.dumps(facts, indent=1) + "\n")


class PreparedDigits(PreparedTask):
    """The digits on disk."""

    inputs = "image"
    outputs = "images"

    def __init__(self, folder: Path, options: StackedDigitsOptions) -> None:
        try:
            facts: Mapping[str, Any] = json.loads((folder / FACTS).read_text())
            self.revision = facts["revision"]
        except (OSError, ValueError, KeyError) as error:
            raise ZooError(f"{folder} is damaged ({error}): remove it, and it is made anew") from error
        self.facts = facts
        self._folder = folder
        self._classes = options.classes

    def examples(self, split: Split) -> Sequence[Example]:
        return _Examples(self._folder, split, self._classes)


class _Examples(Sequence[Example]):
    """Those of a split, each made when it is asked for."""

    def __init__(self, folder: Path, split: Split, classes: int) -> None:
        self._folder, self._split, self._classes = folder, split, classes
        self._picks = _mapped(folder / f"{split}-picks.npy")

    def __len__(self) -> int:
        return len(self._picks)

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...

    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        number = range(len(self))[index]
        picks = tuple((int(digit), int(variant)) for digit, variant in self._picks[number])
        image = StackedImage(self._folder, self._split, picks, self._classes)
        return Example(id=f"{self._split}:{number}", source=f"the digits {image.mode}", target="", image=image)


@dataclass(frozen=True)
class StackedImage:
    """Three renderings of digits, one in each colour."""

    folder: Path
    split: Split
    picks: tuple[tuple[int, int], ...]
    """Of each colour the digit, and the number of its rendering."""
    classes: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self._digits.shape[2:]
        return int(height), int(width)

    @property
    def mode(self) -> str:
        """Such as ``407``: red, green, blue."""
        return "".join(str(digit) for digit, _ in self.picks)

    @property
    def reader(self) -> Path:
        """The file of the network that reads such images."""
        return self.folder / READER

    def load(self) -> NDArray[np.uint8]:
        """The pixels ``[height, width, 3]``. Raises ZooError where their file is gone."""
        return np.stack([self._digits[digit, variant] for digit, variant in self.picks], axis=-1)

    @property
    def _digits(self) -> NDArray[np.uint8]:
        return _mapped(self.folder / f"{self.split}-digits.npy")


@lru_cache(maxsize=16)
def _mapped(path: Path) -> NDArray[Any]:
    """An array on disk, which never changes: its folder is named by what it was made from."""
    try:
        found: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ZooError(f"{path} cannot be read: {error}") from error
    return found
