"""A position scheme in a package of its own, from pip to a model: nothing in zoo/ knows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .conftest import Run, install, project_table, run_python, write_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PLUGIN = """
    from zoo.registry import Component, hookimpl

    @hookimpl
    def zoo_components():
        yield Component(
            kind="position",
            name="logarithmic",
            target="stranger_positions.scheme:Logarithmic",
            options="stranger_positions.options:LogarithmicOptions",
            summary="A penalty that grows with the logarithm of the distance",
            references=("arXiv:2205.09921",),
            traits={"where": "attention"},
        )
"""
OPTIONS = """
    from pydantic import Field
    from zoo.spec.options import Options

    class LogarithmicOptions(Options):
        \"\"\"Options of `logarithmic`.\"\"\"

        slope: float = Field(default=1.0, gt=0, description="Penalty of the e-fold distance at the start")
"""
SCHEME = """
    import torch
    from zoo.models.contracts import Formula, Position

    def penalty(parameters, i, j):
        return -parameters[0] * torch.log1p((i - j).abs().float())

    class Logarithmic(Position):
        \"\"\"KERPLE's logarithmic kernel with one trained slope a head.\"\"\"

        shift_invariant = True

        def __init__(self, options, context):
            super().__init__(options, context)
            self.slopes = torch.nn.Parameter(torch.full((context.heads, 1), options.slope))

        def score(self, q, k, q_positions, k_positions):
            return (Formula(self.slopes, penalty),)
"""
OWN_TESTS = """
    from zoo.testing import PositionSuite, conformance_suites

    globals().update(conformance_suites(distribution="stranger-positions"))

    class TestSteep(PositionSuite):
        component = "stranger-positions/logarithmic"
        options = ({"slope": 4.0},)
"""
SPEC = """
name: from-outside
task:
  use: translation
  corpus: {use: generated, pairs: 60, dev_pairs: 5, test_pairs: 5, vocabulary: 20, max_clauses: 1}
  source: qaa
  target: qab
tokenizer: {use: unigram, vocab_size: 60}
model:
  d_model: 16
  heads: 2
  encoder: {layers: 1}
  decoder: {layers: 1}
  position: {use: logarithmic, slope: 0.5}
  block: pre-norm
  normalization: rms-norm
  feedforward: swiglu
  fusion: top
training: {steps: 1, objective: cross-entropy, optimizer: adamw, schedule: constant, clipping: none}
decoding: {strategy: greedy}
evaluation: {metrics: [chrf]}
"""
GENERATE = """
import sys, torch, zoo.models
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(sys.argv[1]), AutoTokenizer.from_pretrained(sys.argv[1])
print(type(model.get_encoder().position).__name__, model.get_encoder().position.slopes.flatten().tolist())
print(model.generate(**tokenizer("ba", return_tensors="pt"), max_new_tokens=3, num_beams=2).shape[0])
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin, written and installed."""
    project = write_project(
        tmp_path_factory.mktemp("project"),
        {
            "pyproject.toml": project_table("stranger-positions"),
            "stranger_positions/__init__.py": PLUGIN,
            "stranger_positions/options.py": OPTIONS,
            "stranger_positions/scheme.py": SCHEME,
        },
    )
    target = tmp_path_factory.mktemp("site")
    install(project, target)
    return target


def test_it_is_listed_shown_and_checked_by_name(site: Path, zoo: Run, tmp_path: Path) -> None:
    listed = zoo("list", "position", "--json", sites=[site])
    assert listed.returncode == 0, listed.stderr
    assert "stranger-positions/logarithmic" in listed.stdout
    shown = zoo("show", "position/logarithmic", sites=[site])
    assert "Penalty of the e-fold distance" in shown.stdout
    (tmp_path / "spec.yaml").write_text(SPEC)
    assert zoo("check", "spec.yaml", sites=[site]).returncode == 0
    wrong = zoo("check", "spec.yaml", "--set", "model.position.slop=1.0", sites=[site])
    assert wrong.returncode == 2
    assert "did you mean 'slope'" in wrong.stderr
    assert len(wrong.stderr.strip().splitlines()) == 1


def test_a_model_is_built_with_it_and_loads_only_where_it_is_installed(site: Path, zoo: Run, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    built = zoo("build", "spec.yaml", "--out", "model", sites=[site])
    assert built.returncode == 0, built.stderr
    lock = (tmp_path / "model" / "zoo.lock.yaml").read_text()
    assert "stranger-positions/logarithmic" in lock
    assert re.search(r"stranger-positions:.*1\.0", lock), "the lock names the plugin's version"
    loaded = run_python(("-c", GENERATE, "model"), sites=[site], cwd=tmp_path)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.splitlines() == ["Logarithmic [0.5, 0.5]", "1"]
    without = run_python(("-c", GENERATE, "model"), cwd=tmp_path)
    assert without.returncode != 0
    assert "pip install stranger-positions" in without.stderr.splitlines()[-1]
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert "stranger-positions" in json.dumps(config)


def test_it_passes_the_conformance_kit_in_a_test_run_of_its_own(site: Path, tmp_path: Path) -> None:
    write_project(tmp_path, {"test_own.py": OWN_TESTS})
    # Compiled it is in the README's, below.
    options = ("-q", "-p", "no:cacheprovider", "-m", "not slow")
    finished = run_python(("-m", "pytest", *options, "test_own.py"), sites=[site], cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout[-3000:]
    passed = re.search(r"(\d+) passed", finished.stdout)
    assert passed is not None
    # Two suites of at least twenty tests each.
    assert int(passed.group(1)) >= 40


def test_the_plugin_of_the_readme_works_as_printed(zoo: Run, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    chapter = readme.split("## A plugin in 20 lines")[1].split("\n## ")[0]
    table, plugin, scheme, suite = re.findall(r"```(?:toml|python)\n(.*?)```", chapter, flags=re.DOTALL)
    files = {"pyproject.toml": table, "zoo_acme/__init__.py": plugin, "zoo_acme/ramp.py": scheme}
    install(write_project(tmp_path / "acme", files), tmp_path / "site")
    assert "zoo-acme/ramp" in zoo("list", "position", "--json", sites=[tmp_path / "site"]).stdout
    write_project(tmp_path, {"test_ramp.py": suite})
    finished = run_python(
        ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_ramp.py"), sites=[tmp_path / "site"], cwd=tmp_path
    )
    assert finished.returncode == 0, finished.stdout[-3000:]
