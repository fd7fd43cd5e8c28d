"""Commands that only look at names answer long before torch could be imported."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

SPEC = Path(__file__).parent / "specs" / "smoke.yaml"
COMMANDS = {"list": ["list"], "check": ["check", str(SPEC)], "help": ["--help"]}
ROUNDS = 7
LARGEST_SHARE = 1 / 5


def seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def zoo(*arguments: str) -> float:
    # As the console script does it, without the search of PATH.
    return seconds("-c", "from zoo.cli.main import run; run()", *arguments)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_without_torch_takes_a_fifth_of_importing_torch(command: str, request: pytest.FixtureRequest) -> None:
    arguments = COMMANDS[command]
    if not request.config.getoption("benchmark"):
        zoo(*arguments)
        return
    # Interleaved, so that a busy moment of the machine falls on both.
    pairs = [(zoo(*arguments), seconds("-c", "import torch")) for _ in range(ROUNDS)]
    ours, torchs = (statistics.median(side) for side in zip(*pairs, strict=True))
    assert ours / torchs <= LARGEST_SHARE, f"zoo {command}: {ours:.3f} s, import torch: {torchs:.3f} s (medians)"
