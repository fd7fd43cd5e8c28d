"""What this distribution brings. Light: nothing here imports torch."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl
from zoo_tasks_text.corpora.components import components as corpora
from zoo_tasks_text.metrics.components import components as metrics
from zoo_tasks_text.probes.components import components as probes
from zoo_tasks_text.tasks.components import components as tasks
from zoo_tasks_text.tokenizers.components import components as tokenizers


@hookimpl
def zoo_components() -> Iterator[Component]:
    for room in (corpora, tasks, tokenizers, metrics, probes):
        yield from room()
