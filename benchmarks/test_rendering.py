"""Rendering lines of text must not be waited for: at least 500 a second, fonts looked up and all of it written to disk.

With ``--benchmark`` some thousands are rendered and one process must reach the rate, which a machine of two cores has
room for twice. It is told by the clock and by the process's own time, and judged by the latter: what other processes
take is not the renderer's. Without ``--benchmark`` a few are rendered, so that the benchmark cannot rot. The fonts are
reportlab's own.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest
from zoo_tasks_vision.rendering.options import RenderedLinesOptions
from zoo_tasks_vision.tasks.rendered_lines import RenderedLines

from zoo.tasks import DataHome

LIMIT = 500.0
"""Lines a second of one core."""
LINES = 4000
ROUNDS = 3


def options(lines: int, seed: int) -> RenderedLinesOptions:
    found = importlib.util.find_spec("reportlab")
    if found is None or found.origin is None:
        pytest.skip("needs reportlab, for its fonts")
    return RenderedLinesOptions.model_validate(
        {
            "corpus": {"use": "generated", "pairs": 2000, "dev_pairs": 20, "test_pairs": 20},
            "language": "qaa",
            "fonts": {"packages": [], "folders": [str(Path(found.origin).parent / "fonts")], "held_out": 0.0},
            "lines": lines,
            "dev_lines": 10,
            "test_lines": 10,
            "seed": seed,
        }
    )


def test_five_hundred_lines_are_rendered_in_a_second(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    measuring = bool(request.config.getoption("--benchmark", False))
    home = DataHome(tmp_path)
    clock, own = [], []
    for seed in range(ROUNDS if measuring else 1):
        chosen = options(LINES if measuring else 50, seed)
        chosen.corpus.create().prepare(home)
        start, own_start = time.perf_counter(), time.process_time()
        prepared = RenderedLines(chosen).prepare(home)
        lines = sum(prepared.facts["examples"].values())
        clock.append(lines / (time.perf_counter() - start))
        own.append(lines / (time.process_time() - own_start))
        assert len(prepared.examples("train")) == chosen.lines
    if not measuring:
        return
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(
            f"\nlines of 8 to 64 pixels in one process: {', '.join(f'{rate:.0f}' for rate in own)} in a second of a "
            f"core, {', '.join(f'{rate:.0f}' for rate in clock)} in a second by the clock"
        )
    assert max(own) >= LIMIT
