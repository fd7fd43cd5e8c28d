"""What `zoo plugins new` writes and what it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.registry import Component, current_registry
from zoo.scaffold import TEMPLATES, write, write_plugin

LONGEST = "a-name-of-48-characters-that-is-the-longest-one1"


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_file_is_whole_and_the_spec_names_the_component(kind: str, tmp_path: Path) -> None:
    files = write_plugin("zoo-acme", kind, tmp_path / "out")
    assert sorted(files) == sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*"))
    for file in files:
        text = (tmp_path / "out" / file).read_text()
        assert "$" not in text, f"{file} holds a placeholder"
        if file.suffix == ".py":
            compile(text, str(file), "exec")
    spec = yaml.safe_load((tmp_path / "out" / "spec.yaml").read_text())
    assert "zoo-acme/acme" in str(spec)
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "something temporary was left"


def test_templates_are_of_kinds_that_there_are_and_name_their_suites() -> None:
    for kind, template in TEMPLATES.items():
        suite = current_registry().kind(kind).suite
        assert suite is not None
        assert suite.rpartition(":")[2] == template.suite
        # What the component's record would refuse.
        Component(
            kind, "acme", f"zoo_acme.{template.module}:{template.implementation}", template.does, traits=template.traits
        )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Zoo_Acme", "write 'zoo-acme'"),
        ("zoo--acme", "write 'zoo-acme'"),
        ("../acme", "write 'acme'"),
        ("", "such as zoo-acme"),
        ("9lives", "write 'lives'"),
        ("zoo-é", "such as zoo-acme"),
        (LONGEST + "x", "at most 48 characters"),
        ("class", "a word of Python"),
        ("json", "a package 'json' is installed already"),
        ("zoo-positional", "a package 'zoo_positional' is installed already"),
    ],
)
def test_a_bad_name_is_one_line_and_writes_nothing(
    name: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "new", "--out", str(tmp_path / "out"), "--", name]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["folder", "empty folder", "file", "broken link"])
def test_what_is_there_already_is_refused_and_left_alone(what: str, tmp_path: Path) -> None:
    out = tmp_path / "zoo-acme"
    if what == "file":
        out.write_text("precious")
    elif what == "broken link":
        out.symlink_to(tmp_path / "nowhere")
    else:
        out.mkdir()
    if what == "folder":
        (out / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="is there already"):
        write_plugin("zoo-acme", "position", out)
    assert {path.name for path in tmp_path.rglob("*")} <= {"zoo-acme", "thesis.tex"}


def test_a_folder_inside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="file: is a file, expected a folder"):
        write_plugin("zoo-acme", "position", tmp_path / "file" / "zoo-acme")
    assert (tmp_path / "file").read_text() == "precious"


def test_a_kind_without_a_template_names_those_that_have_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["plugins", "new", "zoo-acme", "--kind", "optimiser", "--out", str(tmp_path / "out")]) == 2
    assert "did you mean 'optimizer'?" in capsys.readouterr().err


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, written = Path.write_text, []

    def interrupted(self: Path, *args: object, **options: object) -> int:
        written.append(self)
        if len(written) == 4:
            raise KeyboardInterrupt
        return original(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_plugin("zoo-acme", "position", tmp_path / "out")
    assert len(written) == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "component"), [("zoo-acme", "acme"), ("acme", "acme"), ("zoo-2d", "zoo-2d")])
def test_the_component_is_called_as_the_package_without_zoo(name: str, component: str) -> None:
    files = write.rendered(name, name.replace("-", "_"), TEMPLATES["activation"])
    assert f'name="{component}"' in files[f"{name.replace('-', '_')}/plugin.py"]


@pytest.mark.skipif(shutil.which("ruff") is None, reason="needs ruff")
def test_ruff_has_nothing_to_say_whatever_the_name(tmp_path: Path) -> None:
    for kind in TEMPLATES:
        for name in ("a", "zoo-acme", LONGEST):
            write_plugin(name, kind, tmp_path / f"{name}-{kind}")
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run(
            ["ruff", *command, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout


def test_torch_is_not_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from zoo.cli.main import main; "
        f"main(['plugins', 'new', 'zoo-acme', '--out', {str(tmp_path / 'out')!r}]); "
        "print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
