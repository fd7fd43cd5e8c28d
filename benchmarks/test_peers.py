"""What a measured call costs beside optimum-benchmark's instrument, in turn in one process.

optimum-benchmark is not a dependency: name the Python of an environment that has it and zoo in ZOO_PEER_PYTHON
(benchmarks/README.md shows how to make one). Without it, or without ``--benchmark``, this is skipped.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "peers" / "latency_overhead.py"
ROUNDS = 21


@pytest.fixture(scope="module")
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    python = os.environ.get("ZOO_PEER_PYTHON")
    if not request.config.getoption("--benchmark", False) or not python:
        pytest.skip("needs --benchmark, and ZOO_PEER_PYTHON for an environment with optimum-benchmark")
    done = subprocess.run([python, str(SCRIPT), str(ROUNDS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def say(request: pytest.FixtureRequest, line: str) -> None:
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{line}")


def test_a_measured_call_costs_at_most_what_it_costs_optimum_benchmark(
    found: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """Of a call that does nothing: all that is measured, and all that passes, is overhead."""
    # Minima over the rounds: what other processes add is not the instrument's.
    wall = {name: min(seconds for seconds, _ in rounds) for name, rounds in found["nothing"].items()}
    reported = {name: min(mean for _, mean in rounds) for name, rounds in found["nothing"].items()}
    beside = {name: (wall[name] - wall["bare"]) * 1e6 for name in ("ours", "theirs")}
    inside = {name: (reported[name] - wall["bare"]) * 1e6 for name in ("ours", "theirs")}
    say(
        request,
        f"a measured call takes {beside['ours']:.2f} us longer than a bare one, optimum-benchmark's "
        f"{beside['theirs']:.2f} us; the latency told is {inside['ours']:.2f} and {inside['theirs']:.2f} us too long "
        f"({', '.join(f'{name} {version}' for name, version in found['versions'].items())})",
    )
    assert beside["ours"] <= beside["theirs"]
    assert inside["ours"] <= inside["theirs"]


def test_beside_the_latency_of_a_model_no_more_passes_than_with_optimum_benchmark(
    found: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """Generation by a small MarianMTModel: what passes in a loop beside what it tells, so that noise is in both."""
    rounds = found["generation"]
    beside = {
        name: statistics.median(seconds - mean for seconds, mean in rounds[name]) * 1e6 for name in ("ours", "theirs")
    }
    told = {name: min(mean for _, mean in rounds[name]) * 1e3 for name in ("ours", "theirs")}
    alone = min(seconds for seconds, _ in rounds["bare"]) * 1e3
    say(
        request,
        f"generation, {alone:.2f} ms bare at the least, told as {told['ours']:.2f} by us and {told['theirs']:.2f} "
        f"by optimum-benchmark; a call costs {beside['ours']:.1f} and {beside['theirs']:.1f} us beside it",
    )
    assert beside["ours"] <= beside["theirs"]
