"""The tasks, as the registry lists them. Light."""

from collections.abc import Iterator

from zoo.registry import Component

_EXAMPLE = {"corpus": {"use": "generated", "pairs": 400, "dev_pairs": 40, "test_pairs": 40}}


def components() -> Iterator[Component]:
    yield _task("translation", "translation:Translation", "TranslationOptions", "Translate one sentence at a time")
    yield _task(
        "doc2sent",
        "doc2sent:DocToSent",
        "DocToSentOptions",
        "Translate one sentence, reading the k source sentences before it too (with controls: shuffled, noise, none)",
        references=("doi:10.18653/v1/W17-4811", "arXiv:2005.03393"),
    )
    yield _task(
        "doc2doc",
        "doc2doc:DocToDoc",
        "DocToDocOptions",
        "Translate k sentences of a document at once",
        references=("doi:10.18653/v1/W17-4811", "arXiv:2001.08210"),
    )


def _task(name: str, target: str, options: str, summary: str, *, references: tuple[str, ...] = ()) -> Component:
    return Component(
        kind="task",
        name=name,
        target=f"zoo_tasks_text.tasks.{target}",
        options=f"zoo_tasks_text.tasks.options:{options}",
        summary=summary,
        references=references,
        traits={"example": {**_EXAMPLE, "source": "qaa", "target": "qab"}},
    )
