"""The metrics, as the registry lists them. Light."""

from collections.abc import Iterator

from zoo.registry import Component


def components() -> Iterator[Component]:
    yield Component(
        kind="metric",
        name="map",
        target="zoo_tasks_vision.metrics.mean_average_precision:MeanAveragePrecision",
        options="zoo_tasks_vision.metrics.options:MeanAveragePrecisionOptions",
        summary="Mean average precision of detected boxes, as COCO has it, for any number of detections an image",
        references=("arXiv:1405.0312",),
        traits={"outputs": "detections"},
    )
