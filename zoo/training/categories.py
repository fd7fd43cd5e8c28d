"""The classes of a detector: the categories of its task's boxes."""

from __future__ import annotations

from zoo.tasks import PreparedTask
from zoo.tasks.contracts import SPLITS


def categories_of(task: PreparedTask) -> dict[int, str]:
    """Number -> name of each category of a task of boxes, in the order of the numbers.

    As the task's facts say (``categories``: ``{id, name}`` each); else those of its boxes, named by their numbers.
    """
    said = task.facts.get("categories")
    if said:
        found = {int(item["id"]): str(item["name"]) for item in said}
    else:
        found = {
            box.category: str(box.category) for split in SPLITS for one in task.examples(split) for box in one.boxes
        }
    return dict(sorted(found.items()))
