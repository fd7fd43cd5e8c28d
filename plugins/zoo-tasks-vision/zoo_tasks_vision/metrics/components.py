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
    yield Component(
        kind="metric",
        name="recall-by-size",
        target="zoo_tasks_vision.metrics.recall_by_size:RecallBySize",
        options="zoo_tasks_vision.metrics.options:RecallBySizeOptions",
        summary="Share of boxes that are found, and that of each group of boxes of one aspect and height",
        references=("arXiv:1405.0312",),
        traits={"outputs": "detections"},
    )
    yield Component(
        kind="metric",
        name="hallucination",
        target="zoo_tasks_vision.metrics.hallucination:Hallucination",
        options="zoo_tasks_vision.metrics.options:HallucinationOptions",
        summary="Share of images without text for which some is written: lower is better",
        references=("doi:10.1080/01621459.1927.10502953",),
        # Of lines some of which have no text: the plugin's own tests give the kit such ones.
        traits={"outputs": "lines"},
    )
