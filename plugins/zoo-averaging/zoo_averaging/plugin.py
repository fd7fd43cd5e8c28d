"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import CommandContext, Component, hookimpl

_OPTIONS = "zoo_averaging.options"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="averaging",
        name="ema",
        target="zoo_averaging.ema:Ema",
        options=f"{_OPTIONS}:EmaOptions",
        summary="Exponential moving average of the weights, updated after each step that counts",
        references=("doi:10.1137/0330046", "arXiv:2411.18704"),
    )
    yield Component(
        kind="averaging",
        name="swa",
        target="zoo_averaging.swa:Swa",
        options=f"{_OPTIONS}:SwaOptions",
        summary="Equal mean of the weights of regular steps from a late one on",
        references=("arXiv:1803.05407",),
    )
    yield Component(
        kind="averaging",
        name="last-k",
        target="zoo_averaging.last_k:LastK",
        options=f"{_OPTIONS}:LastKOptions",
        summary="Equal mean of the newest k sets of weights",
        references=("arXiv:1706.03762", "arXiv:2209.14981"),
    )
    yield Component(
        kind="schedule",
        name="swa",
        target="zoo_averaging.schedule:SwaSchedule",
        options=f"{_OPTIONS}:SwaScheduleOptions",
        summary="Another schedule, then the constant or cyclic rate that weights are averaged at",
        references=("arXiv:1803.05407",),
    )


@hookimpl
def zoo_cli_commands(context: CommandContext) -> None:
    from zoo_averaging.command import command

    context.group.add_command(command)
