"""`zoo translate` with a model in torch and with its export."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch

from zoo.cli.main import main
from zoo.export.folder import EXPORT_FILE
from zoo.export.runtime.devices import CUDA

pytestmark = pytest.mark.slow  # as an export is made

ZOO = [sys.executable, "-m", "zoo.cli.main", "translate"]


def of_file(model: Path, lines: Path, capfdbinary: pytest.CaptureFixture[bytes], *options: str) -> bytes:
    assert main(["translate", str(model), str(lines), "--threads", "1", *options]) == 0
    found = capfdbinary.readouterr()
    assert found.err == b""
    return found.out


@pytest.mark.parametrize("options", [[], ["--width", "1", "--max-new-tokens", "9", "--batch-size", "3"]], ids=str)
def test_the_same_command_gives_the_same_lines(
    twins: Any, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], options: list[str]
) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_bytes("\r\n".join([*twins.sources[:12], "", "  ", twins.sources[12]]).encode())
    exported = of_file(twins.export, lines, capfdbinary, *options)
    assert exported == of_file(twins.torch, lines, capfdbinary, *options)
    outputs = exported.decode().split("\n")
    assert len(outputs) == 16
    assert outputs[12:14] == ["", ""]
    assert outputs[15] == ""
    assert all(outputs[:12])


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
@pytest.mark.parametrize("kind", ["torch", "export"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--device", "cuda:1"], "device 'cuda:1': "),
        (["--device", "gpu"], "device 'gpu': expected auto, cpu, cuda or cuda:N"),
        (["--target-language", "de"], "target language 'de': this model names no languages"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_told_in_a_line_before_anything_is_read(
    twins: Any, kind: str, options: list[str], expected: str, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    assert main(["translate", str(getattr(twins, kind)), "--threads", "1", *options]) == 2
    found = capfd.readouterr()
    assert (found.out, found.err.count("\n")) == ("", 1)
    assert found.err.startswith(f"zoo: {expected}")


def test_an_export_for_gpus_says_why_it_computes_on_the_processor(
    twins: Any, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("here onnxruntime has CUDA")
    folder, lines = tmp_path / "export", tmp_path / "lines.txt"
    shutil.copytree(twins.export, folder)
    lines.write_text("\n".join(twins.sources[:3]))
    expected = of_file(folder, lines, capfdbinary)
    told = json.loads((folder / EXPORT_FILE).read_text())
    (folder / EXPORT_FILE).write_text(json.dumps(told | {"device": "cuda"}))
    assert of_file(folder, lines, capfdbinary, "--device", "cpu") == expected
    assert main(["translate", str(folder), str(lines), "--threads", "1"]) == 0
    found = capfdbinary.readouterr()
    assert found.out == expected
    assert found.err.startswith(b"zoo: warning: device auto: computing on the processor, as onnxruntime ")
    assert found.err.count(b"\n") == 1


def test_a_line_is_answered_before_the_next_is_asked_for(twins: Any) -> None:
    with subprocess.Popen(
        [*ZOO, str(twins.export), "--threads", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as talk:
        assert talk.stdin is not None
        assert talk.stdout is not None
        answers = []
        for source in twins.sources[:3]:
            talk.stdin.write(f"{source}\n")
            talk.stdin.flush()
            answers.append(talk.stdout.readline())
        talk.stdin.close()
        assert talk.stdout.read() == ""
        assert talk.wait() == 0
    assert all(answers)
    assert len(set(answers)) > 1


def test_what_is_not_utf_8_is_told_with_its_line_behind_what_came_before(twins: Any) -> None:
    done = subprocess.run(
        [*ZOO, str(twins.export), "--batch-size", "8"], input=b"tep\n\nta \xff\n", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == b"zoo: standard input:3: byte 4 of the line is not UTF-8\n"
    assert done.stdout.count(b"\n") == 2


def test_a_reader_that_leaves_is_not_told_off(twins: Any, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(twins.sources * 4))
    with subprocess.Popen(
        [*ZOO, str(twins.export), str(lines), "--batch-size", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as talk:
        assert talk.stdout is not None
        assert talk.stderr is not None
        assert talk.stdout.readline()
        talk.stdout.close()
        assert talk.stderr.read() == b""
        assert talk.wait() == 1  # by click's habit
