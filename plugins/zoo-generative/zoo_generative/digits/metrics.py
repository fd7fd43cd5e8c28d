"""How many modes of stacked digits are generated, and how evenly."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zoo.errors import InputError
from zoo.tasks import Example, Items, Metric
from zoo_generative.digits import reader
from zoo_generative.digits.task import CHANNELS, StackedImage
from zoo_generative.options import ModesOptions

NONE = -1.0
"""The mode of an output that has none."""
UNREADABLE = "-"
"""Stands for a colour that shows no digit: the image then has no mode."""


class ModeMetric(Metric):
    """A function of the histogram of modes.

    An example's item is the number of its output's mode. There is no interval over examples: of images drawn once more
    from those that there are, as a bootstrap does, some modes are always missing, so that it would lie beside the
    value. Seeds tell how far runs differ.
    """

    options: ModesOptions

    @property
    def modes(self) -> int:
        """How many there are."""
        return int(self.options.classes**CHANNELS)

    @property
    def signature(self) -> str:
        return (
            f"modes:{self.modes}|reader:cnn-{reader.VERSION}, right of at least {reader.REQUIRED:.1%} of digits and "
            f"{reader.REJECTED:.0%} of what is none|version:1{self._also}"
        )

    _also = ""

    def accept(self, examples: Sequence[Example]) -> None:
        for example in examples:
            image = example.image
            if image is None:
                continue
            if not isinstance(image, StackedImage):
                raise InputError(f"the metric {self.name} is about stacked-digits: '{example.id}' is not one of them")
            if image.classes != self.options.classes:
                raise InputError(
                    f"the metric {self.name} counts modes of {self.options.classes} digits, and the task has "
                    f"{image.classes}: set its option 'classes' to {image.classes}"
                )

    def items(self, outputs: Sequence[Any], references: Sequence[Any], sources: Sequence[Any]) -> Items:
        """Of outputs that are modes already, such as ``407``; see `example_items` for images."""
        if not outputs or not len(outputs) == len(references) == len(sources):
            raise ValueError(f"{len(outputs)} outputs, {len(references)} references, {len(sources)} sources")
        return [np.array([self._number(str(output))]) for output in outputs]

    def example_items(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Items:
        words = self.in_words(outputs, examples)
        return super().example_items(outputs if words is None else words, examples)

    def in_words(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Sequence[str] | None:
        """The digits that the task's reader finds in images ``[size, size, 3]``, ``-`` where there is none."""
        path = _reader_of(examples)
        if path is None or not len(outputs) or isinstance(outputs[0], str):
            return None
        found, _ = reader.load(path)
        signs = [*map(str, range(found.classes)), UNREADABLE]
        return ["".join(signs[digit] for digit in digits) for digits in found.read(outputs).tolist()]

    def beside(self, outputs: Sequence[Any], examples: Sequence[Example]) -> Mapping[str, float]:
        """The share of images that have no mode, and what the reader is worth."""
        path, words = _reader_of(examples), self.in_words(outputs, examples)
        if path is None or words is None:
            return {}
        facts = {f"reader_{name}": value for name, value in reader.load(path)[1].items()}
        return {"without_a_mode": sum(UNREADABLE in word for word in words) / len(words), **facts}

    def interval(self, items: Items) -> None:
        """None: see the class."""

    def segments(self, items: Items) -> NDArray[np.float64]:
        """NaN: one image has no histogram."""
        return np.full(len(items), np.nan)

    def combined(self, items: Items, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        modes = np.concatenate(items).astype(np.int64)  # [N]
        known = modes >= 0
        counts = [np.bincount(modes[known], row[known], self.modes).astype(np.float64) for row in weights]
        return self.of_counts(np.stack(counts))  # of [B, modes]

    @abstractmethod
    def of_counts(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores ``[B]`` of how often each mode is there ``[B, modes]``."""

    def _number(self, mode: str) -> float:
        digits = [int(digit) for digit in mode if digit.isascii() and digit.isdigit()]
        if len(digits) != len(mode) or len(digits) != CHANNELS or max(digits) >= self.options.classes:
            return NONE
        return float(np.ravel_multi_index(digits, (self.options.classes,) * CHANNELS))


class ModesCovered(ModeMetric):
    """How many of the modes at least one image shows (Metz et al. 2016, section 3.3.1).

    So many images drawn from the data cover all of 1000 modes but one in e^(N / 1000): 25,600 images practically all.
    """

    @property
    def name(self) -> str:
        return "modes-covered"

    @property
    def direction(self) -> Literal["higher", "lower"]:
        return "higher"

    @property
    def unit(self) -> str:
        return "modes"

    def of_counts(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((counts > 0).sum(axis=1), np.float64)


class ModeKl(ModeMetric):
    """KL(generated || data) in nats: the sum over modes of ``p ln(p / q)``, where p is the share of generated images
    that shows a mode, and q = 1 / modes, as the data are drawn.

    Not 0 for data either: N images drawn from them have about (modes - 1) / (2 N), 0.0195 for 1000 modes and 25,600
    images (the board's control that gives real images back shows it). Images without a mode do not count; with none
    that has one it is that of a single mode, ln(modes).
    """

    _also = "|KL(generated, uniform)"

    @property
    def name(self) -> str:
        return "mode-kl"

    @property
    def direction(self) -> Literal["higher", "lower"]:
        return "lower"

    @property
    def unit(self) -> str:
        return "nats"

    def of_counts(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        totals = counts.sum(axis=1, keepdims=True)  # [B, 1]
        shares = counts / np.where(totals > 0, totals, 1)
        logs = np.log(np.where(shares > 0, shares * self.modes, 1))
        return np.asarray(np.where(totals[:, 0] > 0, (shares * logs).sum(axis=1), np.log(self.modes)), np.float64)


def _reader_of(examples: Sequence[Example]) -> Any:
    image = examples[0].image if len(examples) else None
    return image.reader if isinstance(image, StackedImage) else None
