"""Plugin packages written outside the tree, installed with pip, and the `zoo` command run over them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

Write = Callable[[str, Mapping[str, str]], Path]
Run = Callable[..., subprocess.CompletedProcess[str]]

BUILD_SYSTEM = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""


def project_table(distribution: str) -> str:
    """A pyproject of one package, its entry point and nothing else."""
    package = distribution.replace("-", "_")
    return f'''
[project]
name = "{distribution}"
version = "1.0"
dependencies = ["zoo-registry"]

[project.entry-points.zoo]
main = "{package}"
'''


def write_project(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a project; hatchling builds it, so that no network is needed."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = textwrap.dedent(text)
        path.write_text(BUILD_SYSTEM + text if name == "pyproject.toml" else text, encoding="utf-8")
    return folder


def install(project: Path, site: Path) -> None:
    """Install `project` with pip into the folder `site`, from a built wheel as a user would have it."""
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"),
            *("--disable-pip-version-check", "--target", str(site), str(project)),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


def run_python(
    arguments: Sequence[str], *, sites: Sequence[Path] = (), cwd: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python with `sites` installed, in a folder that is not the checkout."""
    path = os.pathsep.join(str(site) for site in sites)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ZOO_", "PYTEST_"))}
    environment |= {"PYTHONPATH": path, "ZOO_HOME": str(cwd / "home"), "OMP_NUM_THREADS": "1", **environ}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=300, cwd=cwd, env=environment, check=False
    )


@pytest.fixture
def zoo(tmp_path: Path) -> Run:
    """Runs the `zoo` command with some plugins installed."""

    def run(*arguments: str, sites: Sequence[Path] = (), **environ: str) -> subprocess.CompletedProcess[str]:
        return run_python(("-m", "zoo.cli.main", *arguments), sites=sites, cwd=tmp_path, **environ)

    return run
