"""The command line as a user meets it: exit status, one-line errors, JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.cli.main import main


def zoo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "zoo.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chekc"], "zoo: unknown command 'chekc': did you mean 'check'?"),
        (["check"], "zoo: Missing argument 'SPEC'. (see 'zoo check --help')"),
        (["list", "positions"], "zoo: unknown kind 'positions': did you mean 'position'?"),
        (["list", "--jsn"], "zoo: No such option"),
        (
            ["show", "rotary"],
            "zoo: zoo show: expected KIND/NAME or the file of a spec, found 'rotary': did you mean 'position/rotary'?",
        ),
        (["--no-plugin", "zoo-positonal", "list"], "zoo: --no-plugin: no plugin 'zoo-positonal' is installed: did you"),
        (["show", "position/rotari"], "zoo: unknown position 'rotari': did you mean 'rotary'?"),
        (["check", "no-such-file.yaml"], "zoo: no-such-file.yaml: there is no such file"),
        (["--no-plugin", "zoo-positional", "show", "position/rotary"], "zoo: unknown position 'rotary'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_one_line_and_exit_status_2(arguments: list[str], says: str) -> None:
    run = zoo(*arguments)
    assert run.returncode == 2
    assert run.stderr.startswith(says), run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["data"]], ids=["zoo", "zoo data"])
def test_without_a_verb_the_help_is_shown_as_it_is(arguments: list[str]) -> None:
    run = zoo(*arguments)
    assert run.returncode == 2
    assert run.stderr.startswith(" ".join(["Usage: zoo", *arguments]))
    assert "zoo: " not in run.stderr


def test_a_traceback_is_shown_with_debug_only() -> None:
    assert "Traceback" not in zoo("check", "nowhere.yaml").stderr
    assert "Traceback" in zoo("--debug", "check", "nowhere.yaml").stderr


def test_list_as_json_names_every_component_with_its_plugin() -> None:
    found = json.loads(zoo("list", "position", "--json").stdout)
    assert {"sinusoidal", "rotary", "alibi", "learned", "none"} <= {item["name"] for item in found}
    assert all(item["id"] == f"zoo-positional/{item['name']}" for item in found if item["id"].startswith("zoo-pos"))


def test_show_prints_every_option_with_its_meaning() -> None:
    shown = json.loads(zoo("show", "position/rotary", "--json").stdout)
    assert shown["references"] == ["arXiv:2104.09864", "arXiv:2606.11275"]
    assert all(option["description"] for option in shown["options"])


def test_every_installed_component_can_be_shown() -> None:
    found = json.loads(zoo("list", "--json").stdout)
    assert len(found) >= 30
    for item in found:
        assert main(["show", f"{item['kind']}/{item['id']}"]) == 0


def test_a_blocked_plugin_is_listed_as_blocked() -> None:
    rows = json.loads(zoo("plugins", "list", "--json", ZOO_BLOCK="zoo-fusion").stdout)
    status = {row["distribution"]: row["status"] for row in rows}
    assert status["zoo-fusion"] == "blocked"
    assert status["zoo-blocks"] == "ok"


@pytest.mark.slow
def test_the_doctor_finds_nothing_wrong_with_what_ships(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = main(["plugins", "doctor"]), capsys.readouterr().out
    assert status == 0, found
    assert "0 problems" in found


def test_check_prints_the_resolved_spec_as_json(tmp_path: Path) -> None:
    spec = Path(__file__).parents[2] / "benchmarks" / "specs" / "office-zh-en.yaml"
    cells = json.loads(zoo("check", str(spec), "--json", "--set", "seed=9").stdout)
    assert [cell["spec"]["model"]["position"]["use"] for cell in cells] == [
        "zoo-positional/sinusoidal",
        "zoo-positional/rotary",
        "zoo-positional/alibi",
    ]
    assert all(cell["spec"]["seed"] == 9 and cell["hash"].startswith("sha256:") for cell in cells)


def test_output_into_a_closed_pipe_is_no_error() -> None:
    run = subprocess.run(
        f"{sys.executable} -m zoo.cli.main schema | head -c 10",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.stderr == ""
