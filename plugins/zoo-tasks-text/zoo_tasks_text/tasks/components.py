"""The tasks, as the registry lists them. Light."""

from collections.abc import Iterator

from zoo.registry import Component


def components() -> Iterator[Component]:
    yield Component(
        kind="task",
        name="translation",
        target="zoo_tasks_text.tasks.translation:Translation",
        options="zoo_tasks_text.tasks.options:TranslationOptions",
        summary="Translate one sentence at a time",
        traits={"example": {"corpus": "generated", "source": "qaa", "target": "qab"}},
    )
