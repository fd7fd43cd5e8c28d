"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import CommandContext, Component, hookimpl
from zoo_tasks_vision.metrics.components import components as metrics
from zoo_tasks_vision.tasks.components import components as tasks


@hookimpl
def zoo_components() -> Iterator[Component]:
    for room in (tasks, metrics):
        yield from room()


@hookimpl
def zoo_cli_commands(context: CommandContext) -> None:
    from zoo_tasks_vision.ceiling.command import command

    context.group.add_command(command)
