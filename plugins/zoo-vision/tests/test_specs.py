"""The recognisers' specs that ship."""

from pathlib import Path

import pytest

from zoo.cli.main import main
from zoo.spec import load_spec

SPECS = Path(__file__).parents[3] / "benchmarks" / "specs" / "vision"
LINES = "task={use: rendered-lines, corpus: generated, language: qaa}"
"""Text that is always there: what a model holds does not depend on it."""


@pytest.mark.parametrize("name", ["image-to-text", "image-ctc"])
def test_a_spec_is_of_its_architecture_and_its_parameters_are_counted(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = SPECS / f"{name}.yaml"
    assert load_spec(path, [LINES]).model.architecture == name
    small = ["--set", "model.d_model=16", "--set", "model.feedforward.width=16"]
    assert main(["show", str(path), "--set", LINES, *small, "--source-tokens", "12"]) == 0
    assert "encoder.patch_projection" in capsys.readouterr().out
