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
    yield Component(
        kind="task",
        name="image-text-files",
        target="zoo_tasks_vision.tasks.image_text_files:ImageTextFiles",
        options="zoo_tasks_vision.tasks.file_options:ImageTextFilesOptions",
        summary="Read the text of your own images: a folder and a TSV file of names and texts",
        traits={"files": True, "inputs": "image"},
    )
    yield Component(
        kind="task",
        name="coco-files",
        target="zoo_tasks_vision.tasks.coco_files:CocoFiles",
        options="zoo_tasks_vision.tasks.file_options:CocoFilesOptions",
        summary="Find objects in your own images: a folder and a JSON file of boxes as COCO has it",
        references=("arXiv:1405.0312",),
        traits={"files": True, "inputs": "image", "outputs": "detections"},
    )
    yield Component(
        kind="task",
        name="generated-pages",
        target="zoo_tasks_vision.tasks.generated_pages:GeneratedPages",
        options="zoo_tasks_vision.pages.options:GeneratedPagesOptions",
        summary="Find the lines of pages that are set from a corpus, in fonts held out of training",
        traits={"files": True, "inputs": "image", "outputs": "detections"},
    )
    yield Component(
        kind="task",
        name="document-pages",
        target="zoo_tasks_vision.tasks.pdf_tasks:DocumentPages",
        options="zoo_tasks_vision.pages.options:DocumentPagesOptions",
        summary="Find the lines of pages of real documents: PDFs of Debian packages or your own (needs poppler)",
        traits={"network": True, "inputs": "image", "outputs": "detections"},
    )
    yield Component(
        kind="task",
        name="typeset-lines",
        target="zoo_tasks_vision.tasks.pdf_tasks:TypesetLines",
        options="zoo_tasks_vision.pages.options:TypesetLinesOptions",
        summary="Read lines that are cut out of real documents: PDFs of Debian packages or your own (needs poppler)",
        traits={"network": True, "inputs": "image"},
    )
