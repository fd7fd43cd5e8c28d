"""``python -m zoo.export.latency_probe``: how long an export takes for one source (`zoo.measure.probe`). Torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.export.requests import ExportRequest
from zoo.measure.answering import clocked
from zoo.measure.probe import serve


def probe(request: ExportRequest) -> Iterator[dict[str, Any]]:
    """One answer: samples in seconds of the time from a source in memory to its output."""
    yield clocked(request.opened(), request, precision=request.precision())


if __name__ == "__main__":
    serve(probe, ExportRequest)
