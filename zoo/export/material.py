"""What an export and its model are compared on: the spec's development split, or sources of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.errors import InputError
from zoo.spec import Spec
from zoo.tasks import DataHome, Example, PreparedTask
from zoo.tasks.contracts import Progress, silent
from zoo.tasks.images import Source
from zoo.training.preparation import prepare_task


@dataclass(frozen=True)
class Material:
    """Examples, and where they are from."""

    examples: tuple[Example, ...]
    taken_from: str
    """Such as ``dev``, or the name of a file."""
    referenced: bool = True
    """Whether what is right is known, so that quality can be measured."""
    task: PreparedTask | None = None
    """The spec's data, where it is at hand: metrics may learn from its training split."""

    def learned_from(self, count: int) -> list[Example]:
        """`count` examples of the training split, spread over it; of what is compared where that is not at hand. Fewer
        where there are fewer."""
        found = self.examples if self.task is None else self.task.examples("train")
        count = min(count, len(found))
        return [found[place * len(found) // count] for place in range(count)]


def development(spec: Spec, count: int, home: DataHome | None = None, progress: Progress = silent) -> Material:
    """The first examples of the development split; fewer where it has fewer. Raises ZooError without the data."""
    task = prepare_task(spec, home or DataHome.default(), progress)
    return Material(tuple(task.examples("dev")[:count]), "dev", task=task)


def given(sources: Sequence[Source], references: Sequence[str] | None = None, *, name: str = "sources") -> Material:
    """Texts or images of one's own, with the text that is right for each where that is known.

    Raises InputError where the numbers differ.
    """
    if references is not None and len(references) != len(sources):
        raise InputError(f"{len(references)} references for {len(sources)} sources: expected one each, in their order")
    targets = [""] * len(sources) if references is None else references
    rows = enumerate(zip(sources, targets, strict=True), start=1)
    return Material(
        tuple(_example(str(place), source, target) for place, (source, target) in rows), name, references is not None
    )


def _example(name: str, source: Source, target: str) -> Example:
    if isinstance(source, tuple):
        return Example(name, source[0], target, context=source[1])
    if isinstance(source, str):
        return Example(name, source, target)
    return Example(name, name, target, image=source)
