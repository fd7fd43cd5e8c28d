"""Every wrong spec ends in one clear line with its place, and exit status 2; mutated specs never end in a traceback."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.cli.main import main
from zoo.errors import InputError, ZooError
from zoo.spec import load_cells

sys.path.insert(0, str(Path(__file__).parent))
from mistakes import GOOD, MISTAKES, Mistake


def test_the_corpus_holds_at_least_sixty_kinds_of_mistake() -> None:
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES) >= 60


def test_the_spec_that_mistakes_are_made_in_is_right(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(GOOD)
    assert len(load_cells(path)) == 1


def write(folder: Path, mistake: Mistake) -> Path:
    assert mistake.old in GOOD
    path = folder / "spec.yaml"
    path.write_text(GOOD.replace(mistake.old, mistake.new, 1))
    return path


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name.replace(" ", "-"))
def test_a_mistake_is_one_line_that_points_at_it(tmp_path: Path, mistake: Mistake) -> None:
    path = write(tmp_path, mistake)
    with pytest.raises(InputError) as caught:
        load_cells(path)
    text = str(caught.value)
    assert "\n" not in text, text
    assert re.search(mistake.says, text), text
    assert text.startswith(str(tmp_path)), text
    if mistake.place:
        assert text.startswith(f"{path}:{mistake.place}"), text
    assert len(text) < 600


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_the_command_ends_in_one_line_and_exit_status_2_for_every_mistake(
    mistake: Mistake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(write(tmp_path, mistake))]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("zoo: ")
    assert len(said.err.splitlines()) == 1, said.err


@pytest.mark.parametrize("mistake", MISTAKES[::20], ids=lambda mistake: mistake.name)
def test_a_process_of_its_own_says_the_same(
    mistake: Mistake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, mistake)
    run = subprocess.run(
        [sys.executable, "-m", "zoo.cli.main", "check", str(path)], capture_output=True, text=True, timeout=60
    )
    status = main(["check", str(path)])
    assert (run.returncode, run.stdout, run.stderr) == (status, "", capsys.readouterr().err)


def test_several_mistakes_are_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(GOOD.replace("heads: 4", "heads: x").replace("seed: 3", "seed: y").replace("relu", "rely"))
    with pytest.raises(InputError) as caught:
        load_cells(path)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["2", "7", "13"]


WORDS = [
    "use",
    "grid",
    "extends",
    "[",
    "]",
    "{",
    "}",
    ":",
    "- ",
    "&a",
    "*a",
    "'",
    '"',
    "\n",
    "\t",
    " ",
    "#",
    "null",
    "1e400",
    ".nan",
    "!!x",
    "<<",
    "---",
    "?",
    "|",
    ">",
    "%",
    "@",
    "`",
    "0x",
    "é",
    "\u2028",
    "\ufeff",
    "-1",
    "{}",
]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """GOOD with a few random edits: pieces deleted, doubled, moved or replaced."""
    text = GOOD
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, max(len(text) - 1, 0)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(st.one_of(st.sampled_from(WORDS), st.text(max_size=4), st.just(text[start:end] * 2)))
        text = text[:start] + piece + text[end:]
    return text


@given(text=mutated())
@settings(max_examples=400, deadline=5000)
def test_a_mutated_spec_is_accepted_or_refused_in_clear_lines(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        load_cells(path)
    except ZooError as error:
        assert str(error)
        assert "Traceback" not in str(error)


@given(path=st.text(max_size=20), value=st.one_of(st.sampled_from(WORDS), st.text(max_size=10)))
@settings(max_examples=200, deadline=5000)
def test_any_set_option_is_accepted_or_refused_in_clear_lines(
    tmp_path_factory: pytest.TempPathFactory, path: str, value: str
) -> None:
    spec = tmp_path_factory.getbasetemp() / "good.yaml"
    spec.write_text(GOOD)
    try:
        load_cells(spec, [f"{path}={value}"])
    except InputError as error:
        assert str(error)
