"""What has processes of its own, in the process of a test: that one has imported everything, which takes seconds each.

For tests of what a cell or a measurement gives, not of how a process begins and ends.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from zoo.bench import cell_process
from zoo.bench.run import Runner
from zoo.bench.work import WorkFolder
from zoo.measure import performance
from zoo.measure.probe import Probe, Request
from zoo.registry import current_registry, use_registry


@contextmanager
def cells_in_this_process() -> Iterator[None]:
    """Run the cells of a benchmark that are asked for inside the block in this process.

    A cell sets the number of torch's threads. What is measured is measured by processes of their own as ever.
    """

    registry = current_registry()  # a thread that runs cells has not this one's

    def run(runner: Runner, folder: WorkFolder, lock: int) -> int:
        with use_registry(registry):
            cell_process.main(folder, runner.progress)
        return 0

    with patch.object(Runner, "_run_process", run), patch.object(cell_process, "end_with_parent", lambda: None):
        yield


@contextmanager
def probes_in_this_process() -> Iterator[None]:
    """Measure inside the block in this process, whose memory is then that of all that it did before."""

    def run(name: Probe, request: Request, *, timeout: float | None = None) -> list[dict[str, Any]]:
        sent = type(request).model_validate_json(request.model_dump_json())
        sent.begin()
        probe = importlib.import_module(f"{request.package}.{name}").probe
        return [json.loads(json.dumps(answer, allow_nan=False)) for answer in probe(sent)]

    with patch.object(performance, "run_probe", run):
        yield
