"""Processes that collect little garbage while they begin."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

SHOWN = """
import gc, json, sys
from zoo import startup

def collector():
    return {"thresholds": gc.get_threshold(), "set aside": gc.get_freeze_count() > 1000}

before = collector()
startup.imported()
print(json.dumps({"name": __name__, "arguments": sys.argv, "before": before, "after": collector()}))
"""


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    (tmp_path / "shown.py").write_text(SHOWN)
    return tmp_path


def told(folder: Path, *arguments: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=True)
    return json.loads(done.stdout)


def test_a_module_is_run_as_python_runs_it_and_what_it_has_imported_is_set_aside(shown: Path) -> None:
    found = told(shown, "-m", "zoo.startup", "shown", "a", "--b")
    assert found["name"] == "__main__"
    assert found["arguments"] == [str(shown / "shown.py"), "a", "--b"]
    assert found["before"] == {"thresholds": [10_000, 10, 10], "set aside": False}
    assert found["after"] == {"thresholds": list(gc.get_threshold()), "set aside": True}


def test_in_a_process_that_did_not_begin_so_nothing_is_set_aside(shown: Path) -> None:
    found = told(shown, "-m", "shown")
    assert found["before"] == found["after"] == {"thresholds": list(gc.get_threshold()), "set aside": False}
