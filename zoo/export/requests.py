"""What is asked of the processes that measure an export. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from zoo.export.folder import read_export
from zoo.export.runtime.answers import open_export
from zoo.measure.answering import Answer
from zoo.measure.probe import Probe, Request
from zoo.tasks.images import Source


class ExportRequest(Request):
    """What a probe is to do, and with which export. It computes on the CPU."""

    clocks: ClassVar[Probe] = "latency_probe"
    capacity: ClassVar[Probe] = "batch_probe"
    package: ClassVar[str] = "zoo.export"

    directory: Path = Field(description="Folder of 'zoo export'")

    @property
    def subject(self) -> str:
        return str(self.directory)

    def begin(self) -> None:
        """Nothing: what runs the export is opened with its threads, and torch is not there."""

    def precision(self) -> str:
        """What the weights are held in."""
        return read_export(self.directory).weights

    def opened(self) -> Answer:
        """The export, ready to answer."""
        runner = open_export(self.directory, threads=self.threads)

        def answer(sources: Sequence[Source]) -> int | None:
            return runner.answer(sources, batch_size=len(sources)).tokens

        return answer
