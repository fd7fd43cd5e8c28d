"""Which layers an export should leave in float32: what each does alone, and how many of the worst it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.atomic import TEMPORARY_PREFIX
from zoo.export.contracts import KEEP, Exporter, Parity, Trial, Written
from zoo.export.report import LayerSensitivity, MetricDrop, Remedy, finite
from zoo.tasks.contracts import Progress, silent

EXAMPLES = 32
"""Layers are ranked on so many examples: what an export is past by harms every one."""


def grouped(changed: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Layers of one part of a model together, by the glob that names them and no others: ``encoder.layers.0.
    self_attention.*``; a layer that is alone in its part with others that are so (``blocks.0.first.conv``,
    ``blocks.0.second.conv``), or by its name."""
    found: dict[str, tuple[str, ...]] = {}
    alone: list[str] = []
    for part, names in _parts(changed, 1).items():
        if _is_whole(part, names, changed):
            found[f"{part}.*"] = tuple(names)
        else:
            alone += names
    for part, names in _parts(alone, 2).items():
        if _is_whole(part, names, changed):
            found[f"{part}.*"] = tuple(names)
        else:
            found |= {name: (name,) for name in names}
    place = {name: number for number, name in enumerate(changed)}
    return dict(sorted(found.items(), key=lambda item: place[item[1][0]]))


def _parts(layers: Sequence[str], above: int) -> dict[str, list[str]]:
    """Layers by the part of the model so many names above them."""
    parts: dict[str, list[str]] = {}
    for name in layers:
        parts.setdefault(".".join(name.split(".")[:-above]), []).append(name)
    return parts


def _is_whole(part: str, names: Sequence[str], changed: Sequence[str]) -> bool:
    """Whether several layers are all that a glob over their part names."""
    return bool(part) and len(names) > 1 and [name for name in changed if fnmatchcase(name, f"{part}.*")] == names


@dataclass(frozen=True)
class Trials:
    """An export with other layers kept, again and again."""

    exporter: Exporter
    trial: Trial
    """What writes it: of `Exporter.trials`."""
    changed: tuple[str, ...]
    """The layers that the export changes."""
    scratch: Path
    """A folder for what is written and read once."""
    progress: Progress = silent

    def ranked(self, compare: Callable[[Path], Parity]) -> list[LayerSensitivity]:
        """What changing each group of layers alone does to logits, most harmful first.

        `compare` says how those of the export in a folder compare with torch's.
        """
        groups = grouped(self.changed)
        found = []
        for place, (layers, names) in enumerate(groups.items()):
            self.progress("layers", place, len(groups))
            with self._written([name for name in self.changed if name not in names]) as (folder, _):
                parity = compare(folder)
            found.append(
                LayerSensitivity(
                    layers=layers,
                    divergence=finite(parity.divergence),
                    mean_difference=finite(parity.mean_difference),
                    largest_difference=finite(parity.largest_difference),
                )
            )
        self.progress("layers", len(groups), len(groups))
        return sorted(found, key=lambda item: -item.harm)

    def remedy(
        self, ranking: Sequence[LayerSensitivity], measure: Callable[[Path, Written], list[MetricDrop] | None]
    ) -> Remedy | None:
        """The fewest of the most harmful layers that must stay in float32 for all drops to be within bounds, as found
        by doubling their number and halving what lies between; what is returned has been tried. None where even all are
        not enough.

        `measure` completes the folder of an export and gives its drops; None where its logits are no finite numbers.
        """
        too_few, enough = 0, 1
        found = self._tried(ranking[:enough], measure)
        while found is None:
            if enough >= len(ranking):
                return None
            too_few, enough = enough, min(2 * enough, len(ranking))
            found = self._tried(ranking[:enough], measure)
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            fewer = self._tried(ranking[:middle], measure)
            if fewer is None:
                too_few = middle
            else:
                enough, found = middle, fewer
        return found

    def _tried(
        self, kept: Sequence[LayerSensitivity], measure: Callable[[Path, Written], list[MetricDrop] | None]
    ) -> Remedy | None:
        """What keeping these layers brings, if that is enough."""
        self.progress("layers to keep", 0, 0)
        names = [item.layers for item in kept]
        with self._written(names) as (folder, written):
            drops = measure(folder, written)
        if drops is None or not all(drop.passes for drop in drops):
            return None
        return Remedy(keep_float32=[*getattr(self.exporter.options, KEEP), *names], drops=drops)

    @contextmanager
    def _written(self, kept: Sequence[str]) -> Iterator[tuple[Path, Written]]:
        with TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=self.scratch) as name:
            folder = Path(name)
            yield folder, self.trial(kept, folder)
