"""`zoo recognize` with a model in torch and with its export."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo.cli.main import main
from zoo.registry import use_registry
from zoo.testing.glyphs import with_glyphs

pytestmark = pytest.mark.slow  # as exports are made


def told(capfdbinary: pytest.CaptureFixture[bytes], *arguments: Any) -> tuple[int, list[str], list[str]]:
    with use_registry(with_glyphs()):
        status = main(["recognize", *map(str, arguments), "--threads", "1"])
    found = capfdbinary.readouterr()
    return status, found.out.decode().splitlines(), found.err.decode().splitlines()


@pytest.mark.parametrize("kind", ["text", "ctc"])
@pytest.mark.parametrize("options", [[], ["--width", "1", "--max-new-tokens", "6", "--batch-size", "3"]], ids=str)
def test_the_same_command_gives_the_same_lines(
    readers: Any, capfdbinary: pytest.CaptureFixture[bytes], kind: str, options: list[str]
) -> None:
    twins = getattr(readers, kind)
    some = [readers.images, readers.images / "03.png"]
    exported = told(capfdbinary, twins.export, *some, *options)
    assert exported == told(capfdbinary, twins.torch, *some, *options)
    status, lines, errors = exported
    assert (status, errors) == (0, [])
    names = [line.split("\t")[0] for line in lines]
    assert names == [*map(str, sorted(readers.images.iterdir())), str(readers.images / "03.png")]
    assert len({line.split("\t")[1] for line in lines}) > 1


@pytest.mark.parametrize("form", ["torch", "export"])
def test_an_image_that_cannot_be_read_is_told_and_the_others_go_on(
    readers: Any, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], form: str
) -> None:
    model = getattr(readers.ctc, form)
    shutil.copyfile(readers.images / "00.png", tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    Image.fromarray(np.zeros((60, 20), np.uint8)).save(tmp_path / "c.png")
    shutil.copyfile(readers.images / "01.png", tmp_path / "d.png")
    (tmp_path / "empty").mkdir()
    given = [tmp_path, tmp_path / "gone.png", tmp_path / "empty"]
    status, lines, errors = told(capfdbinary, model, *given)
    assert status == 2
    assert [line.split("\t")[0] for line in lines] == [str(tmp_path / "a.png"), str(tmp_path / "d.png")]
    assert [line.split(": ")[1] for line in errors[:4]] == [
        str(tmp_path / name) for name in ("b.png", "c.png", "gone.png", "empty")
    ]
    assert errors[0].startswith(f"zoo: {tmp_path}/b.png: cannot be read: ")
    assert "60 x 20 pixels becomes 4 x 2 patches, and the model has places for 2 x 8" in errors[1]
    assert errors[2] == f"zoo: {tmp_path}/gone.png: no such file"
    assert errors[4:] == ["zoo: 4 of 6 images cannot be read"]
    _, found, _ = told(capfdbinary, model, *given, "--json")
    rows = [json.loads(line) for line in found]
    assert [sorted(row) for row in rows] == [
        ["image", "text"] if name in {"a", "d"} else ["error", "image"]
        for name in ("a", "b", "c", "d", "gone", "empty")
    ]
    assert [row["text"] for row in rows if "text" in row] == [line.split("\t")[1] for line in lines]


def test_a_path_is_answered_before_the_next_is_asked_for(readers: Any) -> None:
    program = [sys.executable, "-m", "zoo.cli.main", "recognize", str(readers.ctc.export), "--threads", "1"]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as talk:
        assert talk.stdin is not None
        assert talk.stdout is not None
        for image in sorted(readers.images.iterdir())[:3]:
            talk.stdin.write(f"{image}\n")
            talk.stdin.flush()
            assert talk.stdout.readline().startswith(f"{image}\t")
        talk.stdin.close()
        assert talk.wait() == 0


def test_a_model_that_reads_no_images_is_refused(
    twins: Any, readers: Any, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    image = readers.images / "00.png"
    for model, expected in (
        (twins.torch, "its model is of the architecture 'encoder-decoder': this command reads the texts in images"),
        (twins.export, "an export of the architecture 'encoder-decoder': expected image-to-text or image-ctc"),
        (tmp_path, "neither export.json nor config.json here"),
    ):
        status, lines, errors = told(capfdbinary, model, image)
        assert (status, lines, len(errors)) == (2, [], 1)
        assert expected in errors[0]
