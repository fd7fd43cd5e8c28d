"""Which options modules reach for torch or transformers, found in one fresh process for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

_PROBE = """
import importlib, json, sys
from zoo.registry import Registry

asked = []

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            asked.append(name)
            raise ModuleNotFoundError(f"{name} is imported", name=name)

sys.meta_path.insert(0, Refusal())
verdicts = {}
for component in Registry.load().components():
    target = component.component.options
    if target is not None:
        asked.clear()
        try:
            importlib.import_module(target.partition(":")[0])
            verdicts[target] = ", ".join(asked)
        except Exception as error:
            verdicts[target] = f"{type(error).__name__}: {error}"
print(json.dumps(verdicts))
"""


@cache
def heavy_imports() -> dict[str, str]:
    """For each registered component's options target: what heavy modules its import reaches for, "" for none."""
    finished = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=120, check=False)
    if finished.returncode:
        raise RuntimeError(f"options could not be probed: {finished.stderr.strip()[-2000:]}")
    verdicts: dict[str, str] = json.loads(finished.stdout.splitlines()[-1])
    return verdicts
