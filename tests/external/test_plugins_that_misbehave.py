"""A broken plugin is named and survived; two of a name are told apart; a blocked one is never imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run, install, project_table, write_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SCHEME = """
    from zoo.models.contracts import Position

    class Ours(Position):
        \"\"\"The identity.\"\"\"
"""


def _component(package: str, name: str) -> str:
    return f"""
    from zoo.registry import Component, hookimpl

    @hookimpl
    def zoo_components():
        yield Component(kind="position", name="{name}", target="{package}.scheme:Ours", summary="The identity")
"""


PACKAGES = {
    "falls-over": {"falls_over/__init__.py": 'raise RuntimeError("boom at import")\n'},
    "leaves": {"leaves/__init__.py": "import sys\n\nsys.exit(7)\n"},
    "one-rotary": {"one_rotary/__init__.py": _component("one_rotary", "rotary"), "one_rotary/scheme.py": SCHEME},
    "leaves-a-trace": {
        "leaves_a_trace/__init__.py": """
            import os, pathlib

            pathlib.Path(os.environ["TRACE"]).write_text("imported")
        """
        + _component("leaves_a_trace", "traced").replace("\n    ", "\n            "),
        "leaves_a_trace/scheme.py": SCHEME,
    },
}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each package, installed in a folder of its own."""
    found = {}
    for name, files in PACKAGES.items():
        project = write_project(tmp_path_factory.mktemp(name), {"pyproject.toml": project_table(name), **files})
        found[name] = tmp_path_factory.mktemp(f"{name}-site")
        install(project, found[name])
    return found


FAILURES = {"falls-over": "RuntimeError: boom at import", "leaves": "SystemExit: 7"}


def test_plugins_that_fail_at_import_are_named_and_survived(sites: dict[str, Path], zoo: Run) -> None:
    for name, words in FAILURES.items():
        listed = zoo("list", "position", "--json", sites=[sites[name]])
        assert listed.returncode == 0
        assert "zoo-positional/rotary" in listed.stdout
        assert f"'{name}'" in listed.stderr
        assert words in listed.stderr
        assert "Traceback" not in listed.stderr


def test_the_doctor_finds_all_that_is_wrong_at_once(sites: dict[str, Path], zoo: Run) -> None:
    """Plugins that fail at import, and two components of a name."""
    doctor = zoo("plugins", "doctor", sites=[sites[name] for name in (*FAILURES, "one-rotary")])
    assert doctor.returncode == 1
    for name, words in FAILURES.items():
        assert any(name in line and words in line for line in doctor.stdout.splitlines())
    assert "one-rotary/rotary" in doctor.stdout


def test_two_components_of_a_name_collide_naming_both_and_a_qualified_name_tells(
    sites: dict[str, Path], zoo: Run
) -> None:
    bare = zoo("show", "position/rotary", sites=[sites["one-rotary"]])
    assert bare.returncode == 2
    assert "'one-rotary/rotary'" in bare.stderr
    assert "'zoo-positional/rotary'" in bare.stderr
    assert len(bare.stderr.strip().splitlines()) == 1
    for qualified in ("one-rotary/rotary", "zoo-positional/rotary"):
        shown = zoo("show", f"position/{qualified}", sites=[sites["one-rotary"]])
        assert shown.returncode == 0, shown.stderr
        assert qualified in shown.stdout


@pytest.mark.parametrize("block", ["ZOO_BLOCK", "ZOO_PLUGINS", "--no-plugin"])
def test_a_blocked_plugin_is_never_imported(block: str, sites: dict[str, Path], zoo: Run, tmp_path: Path) -> None:
    trace, site = tmp_path / "trace", [sites["leaves-a-trace"]]
    arguments, environ = ("list", "position", "--json"), {"TRACE": str(trace)}
    assert "leaves-a-trace/traced" in zoo(*arguments, sites=site, **environ).stdout
    assert trace.exists(), "the trace works"
    trace.unlink()
    if block == "ZOO_BLOCK":
        environ["ZOO_BLOCK"] = "Leaves_A_Trace"
    elif block == "ZOO_PLUGINS":
        environ["ZOO_PLUGINS"] = "zoo-positional"
    else:
        arguments = ("--no-plugin", "leaves-a-trace", *arguments)
    listed = zoo(*arguments, sites=site, **environ)
    assert listed.returncode == 0, listed.stderr
    assert not trace.exists()
    assert "traced" not in listed.stdout
    assert "zoo-positional/rotary" in listed.stdout


def test_a_blocked_plugin_is_reported_as_such(sites: dict[str, Path], zoo: Run, tmp_path: Path) -> None:
    environ = {"TRACE": str(tmp_path / "trace"), "ZOO_BLOCK": "leaves-a-trace"}
    listed = zoo("plugins", "list", "--json", sites=[sites["leaves-a-trace"]], **environ)
    status = {plugin["distribution"]: plugin["status"] for plugin in json.loads(listed.stdout)}
    assert status["leaves-a-trace"] == "blocked"
    assert status["zoo-positional"] == "ok"
    named = zoo("show", "position/leaves-a-trace/traced", sites=[sites["leaves-a-trace"]], **environ)
    assert named.returncode == 2
    assert "blocked" in named.stderr
