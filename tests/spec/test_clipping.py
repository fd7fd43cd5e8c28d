"""Clipping in a spec: what goes with which optimizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from zoo.cli.main import main
from zoo.errors import InputError
from zoo.spec import load_spec, spec_hash
from zoo.spec.clipping import clipping_notes
from zoo.spec.reader import read_text
from zoo.spec.schema import spec_schema

WHOLE = Path(__file__).with_name("mistakes.py").read_text().split('GOOD = """\\\n')[1].split('"""')[0]
OPTIMIZER, CLIPPING = "optimizer: {use: adamw, lr: 1e-3}", "  clipping: {use: norm, max_norm: 1.0}\n"


def written(folder: Path, optimizer: str = "adamw", clipping: str = "") -> Path:
    text = WHOLE.replace(OPTIMIZER, f"optimizer: {optimizer}").replace(CLIPPING, clipping)
    assert f"optimizer: {optimizer}" in text
    (folder / "spec.yaml").write_text(text)
    return folder / "spec.yaml"


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        ("adamw", {"use": "zoo-optimizers/norm", "max_norm": 1.0}),
        ("{use: zoo-optimizers/adamw, lr: 1e-3}", {"use": "zoo-optimizers/norm", "max_norm": 1.0}),
        ("adafactor", {"use": "zoo-optimizers/none"}),
    ],
)
def test_where_none_is_named_the_clipping_is_the_one_that_goes_with_the_optimizer_and_is_written_out(
    tmp_path: Path, optimizer: str, expected: dict[str, Any]
) -> None:
    assert load_spec(written(tmp_path, optimizer)).plain()["training"]["clipping"] == expected


def test_a_clipping_left_out_gives_the_hash_of_the_same_one_named(tmp_path: Path) -> None:
    left_out = load_spec(written(tmp_path))
    named = load_spec(written(tmp_path, clipping=CLIPPING))
    assert spec_hash(left_out) == spec_hash(named)


def test_a_clipping_that_is_named_stands(tmp_path: Path) -> None:
    path = written(tmp_path, "adafactor", "  clipping: {use: norm, max_norm: 3.0}\n")
    assert load_spec(path).plain()["training"]["clipping"] == {"use": "zoo-optimizers/norm", "max_norm": 3.0}


def test_a_misspelt_optimizer_is_one_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        load_spec(written(tmp_path, "adamv"))
    assert "did you mean 'adamw'" in str(refused.value)
    assert "clipping" not in str(refused.value)


def test_an_editor_accepts_a_spec_without_clipping(tmp_path: Path) -> None:
    document = read_text(written(tmp_path).read_text(), "spec").plain()
    assert list(jsonschema.Draft202012Validator(spec_schema()).iter_errors(document)) == []


def test_specs_without_update_clipping_have_the_plain_form_of_before(tmp_path: Path) -> None:
    path = written(tmp_path, clipping=CLIPPING)
    assert "update_clipping" not in load_spec(path).plain()["training"]
    clipped = load_spec(path, ["training.update_clipping=rms"])
    assert clipped.plain()["training"]["update_clipping"] == {"use": "zoo-optimizers/rms", "threshold": 1.0}


def test_updates_of_an_optimizer_that_bounds_them_itself_are_not_clipped_again(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"update_clipping=rms: .*'adafactor' bounds its updates itself"):
        load_spec(written(tmp_path, "adafactor"), ["training.update_clipping=rms"])


def test_a_note_says_why_clipping_by_norm_does_little_beside_adafactor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "adafactor", CLIPPING)
    assert main(["check", str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("zoo: note: training.clipping: 'norm' beside 'adafactor', which bounds its own")
    assert captured.err.count("\n") == 1
    assert captured.out.endswith("ok: 1 cell\n")


def test_a_note_says_why_adafactors_gradients_are_not_clipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(written(tmp_path, "adafactor"))]) == 0
    told = capsys.readouterr().err
    assert told.startswith("zoo: note: training.clipping: 'none', as goes with 'adafactor': it bounds its own updates")
    assert told.count("\n") == 1


@pytest.mark.parametrize(("optimizer", "clipping"), [("adamw", ""), ("adamw", CLIPPING)])
def test_pairs_that_go_together_have_no_note(tmp_path: Path, optimizer: str, clipping: str) -> None:
    training = load_spec(written(tmp_path, optimizer, clipping)).training
    assert clipping_notes(training.optimizer, training.clipping) == []
