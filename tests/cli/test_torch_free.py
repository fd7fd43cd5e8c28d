"""`zoo list`, `zoo check`, `zoo schema` and `zoo --help` answer without torch and transformers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SPEC = Path(__file__).parents[2] / "benchmarks" / "specs" / "office-zh-en.yaml"
PROGRAM = """
import sys
from zoo.cli.main import main
status = main({arguments!r})
heavy = sorted({{"torch", "transformers", "numpy"}} & set(sys.modules))
sys.stderr.write(f"status={{status}} heavy={{heavy}}")
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["list", "position", "--json"],
        ["check", str(SPEC)],
        ["schema"],
        ["show", "position/rotary"],
        ["plugins", "list"],
        ["data", "list"],
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_neither_torch_nor_transformers_is_imported(arguments: list[str], tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(arguments=arguments)],
        # numpy reads what is prepared, and here nothing is.
        env={**os.environ, "ZOO_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stderr == "status=0 heavy=[]", run.stderr
    assert run.stdout
