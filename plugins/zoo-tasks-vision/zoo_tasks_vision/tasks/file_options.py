"""Options of tasks over a user's own images."""

from __future__ import annotations

from pydantic import Field

from zoo.spec.options import Options
from zoo_tasks_vision.metrics.options import Edges


class OwnFilesOptions(Options):
    """What tasks over own files share."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,60}$", description="Name of the board")
    train: str = Field(description="The list of training images; a relative name is taken from the working directory")
    dev: str | None = Field(default=None, description="The list of dev images; split off train where absent")
    test: str | None = Field(default=None, description="The list of test images; split off train where absent")
    images: str | None = Field(
        default=None, description="Folder that names of images are taken from; that of each list where absent"
    )
    dev_fraction: float = Field(
        default=0.05, gt=0, lt=0.5, description="Share of the documents split off as dev where no dev is given"
    )
    test_fraction: float = Field(
        default=0.05, gt=0, lt=0.5, description="Share of the documents split off as test where no test is given"
    )
    licence: str = Field(default="unknown", max_length=100, description="Licence of the data, such as CC-BY-4.0")


class ImageTextFilesOptions(OwnFilesOptions):
    """Own images with their text: lists are TSV files, a line an image: its name, its text, and its document if any."""

    aspects: Edges = Field(
        default=[2.0, 5.0, 15.0, 40.0], description="Edges of the bands of width by height of the stratum `aspect`"
    )
    heights: Edges = Field(
        default=[8.0, 16.0, 32.0, 64.0], description="Edges of the bands of the stratum `height`, in pixels"
    )


class CocoFilesOptions(OwnFilesOptions):
    """Own images with boxes: lists are JSON files as COCO has them (`images`, `annotations`, `categories`)."""

    document_field: str = Field(
        default="document",
        description="Field of an image's entry that names its document, which stands on one side; each image is one of "
        "its own where it has none",
    )
