"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield from ()
