"""What this distribution brings. Light: nothing here imports torch or ray."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="executor",
        name="local",
        target="zoo_executors.local:Local",
        options="zoo_executors.options:LocalOptions",
        summary="On this machine, one cell after another or several at once",
        traits={"default": True},
    )
    yield Component(
        kind="executor",
        name="ray",
        target="zoo_executors.on_ray:OnRay",
        options="zoo_executors.options:RayOptions",
        summary="As tasks of Ray: in a cluster of its own on this machine, or in one that runs",
        references=("arXiv:1712.05889",),
    )
