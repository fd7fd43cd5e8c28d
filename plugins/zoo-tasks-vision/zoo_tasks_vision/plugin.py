"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl
from zoo_tasks_vision.metrics.components import components as metrics
from zoo_tasks_vision.tasks.components import components as tasks


@hookimpl
def zoo_components() -> Iterator[Component]:
    for room in (tasks, metrics):
        yield from room()
