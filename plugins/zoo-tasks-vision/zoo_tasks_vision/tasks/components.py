"""The tasks, as the registry lists them. Light."""

from collections.abc import Iterator

from zoo.registry import Component


def components() -> Iterator[Component]:
    yield Component(
        kind="task",
        name="rendered-lines",
        target="zoo_tasks_vision.tasks.rendered_lines:RenderedLines",
        options="zoo_tasks_vision.rendering.options:RenderedLinesOptions",
        summary="Read lines of text that are rendered from a corpus, in fonts held out of training",
        # Fonts are on one machine and not on another.
        traits={"files": True, "inputs": "image"},
    )
