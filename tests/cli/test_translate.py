"""`zoo translate` before it comes to a model. With one: tests/export/runtime/test_translate_command.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.cli.main import main


def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent"
    expected = "expected one that 'zoo export' or 'zoo train' made"
    assert main(["translate", str(absent)]) == 2
    assert capsys.readouterr().err == f"zoo: {absent}: no such folder; {expected}\n"
    assert main(["translate", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"zoo: {tmp_path}: neither export.json nor config.json here; {expected}\n"


def test_a_missing_file_is_told_before_a_model_is_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", str(tmp_path), str(tmp_path / "lines.txt")]) == 2
    assert capsys.readouterr().err == f"zoo: {tmp_path / 'lines.txt'}: no such file\n"
