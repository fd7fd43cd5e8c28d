"""What the plugin declares is what can be loaded, and declaring it is light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zoo.registry import current_registry
from zoo.training.contracts import Clipping, OptimizerFactory, Schedule

PROTOCOLS = {"optimizer": OptimizerFactory, "clipping": Clipping, "schedule": Schedule}
NAMES = [
    ("optimizer", "adamw"),
    ("optimizer", "adafactor"),
    ("optimizer", "sgd"),
    ("optimizer", "lion"),
    ("optimizer", "stable-adamw"),
    ("optimizer", "muon"),
    ("optimizer", "adam-mini"),
    ("optimizer", "schedule-free"),
    ("optimizer", "galore"),
    ("optimizer", "adamw-8bit"),
    ("optimizer", "paged-adamw-8bit"),
    ("clipping", "norm"),
    ("clipping", "none"),
    ("clipping", "value"),
    ("clipping", "adaptive"),
    ("clipping", "per-group"),
    ("schedule", "inverse-sqrt"),
    ("schedule", "cosine"),
    ("schedule", "constant"),
    ("schedule", "linear"),
    ("schedule", "warmup-stable-decay"),
    ("schedule", "cyclic"),
]


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_component_is_found_with_described_options_and_defaults(kind: str, name: str) -> None:
    component = current_registry().get(kind, f"zoo-optimizers/{name}")
    options = component.load_options()
    assert all(field.description for field in options.model_fields.values())
    assert isinstance(component.load()(options()), PROTOCOLS[kind])


def test_declaring_components_and_reading_options_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, zoo_optimizers.plugin, zoo_optimizers.options, zoo_optimizers.optimizer_options; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
