"""``python -m zoo.export.batch_probe``: an export's memory, then its rates by batch size (`zoo.measure.probe`).

Torch-free, as what runs an export is: torch's own memory would count.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.export.requests import ExportRequest
from zoo.measure.answering import weighed
from zoo.measure.probe import serve


def probe(request: ExportRequest) -> Iterator[dict[str, Any]]:
    """``{"memory": ...}``, then ``{"rate": ...}`` for each batch size."""
    yield from weighed(request.opened, request)


if __name__ == "__main__":
    serve(probe, ExportRequest)
