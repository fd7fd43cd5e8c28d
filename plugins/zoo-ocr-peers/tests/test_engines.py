"""What the engines read, and what they say of themselves where something is missing."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from zoo_ocr_peers import rapid
from zoo_ocr_peers.images import prepared

from zoo.errors import InputError, ZooError
from zoo.tasks.images import PixelImage
from zoo.tasks.peers import Peer

Engine = Callable[..., Peer]
Line = Callable[..., PixelImage]
TEXT = "Press Enter to continue with step 27."


def program(folder: Path, body: str) -> None:
    """A program called tesseract, alone on the path."""
    path = folder / "tesseract"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize("name", ["tesseract", "rapidocr"])
def test_a_clear_line_is_read_exactly(engine: Engine, line: Line, name: str) -> None:
    assert engine(name).answer([line(TEXT)]) == [TEXT]


def test_low_and_light_on_dark_lines_are_read_too(engine: Engine, line: Line) -> None:
    low = line("Open the file again", height=16)
    dark = line("Close the window", ink="white", paper="black")
    assert engine("tesseract").answer([low, dark]) == ["Open the file again", "Close the window"]


def test_lines_that_are_looked_for_come_in_reading_order(engine: Engine, line: Line) -> None:
    parts = [line(text, height=60).pixels for text in ("First line", "second line")]
    width = max(part.shape[1] for part in parts)
    page = np.full((240, width + 40, 3), 255, dtype=np.uint8)
    for top, part in zip((20, 140), parts, strict=True):
        page[top : top + part.shape[0], 20 : 20 + part.shape[1]] = part
    assert engine("rapidocr", detect=True).answer([PixelImage(page)]) == ["First line second line"]


def test_the_model_is_told_by_the_digest_of_its_file(engine: Engine) -> None:
    facts = engine("tesseract", lang="eng").facts()
    said = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=True).stdout
    folder = Path(said.split('"')[1])
    digest = hashlib.sha256((folder / "eng.traineddata").read_bytes()).hexdigest()
    assert facts.models == {"eng.traineddata": f"sha256:{digest}"}
    assert facts.precision in {"int8", "float32", "unknown"}
    assert set(engine("rapidocr").facts().models) < set(engine("rapidocr", detect=True, turned=True).facts().models)


def test_a_language_that_is_missing_is_told_with_its_package(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"no data for the language 'xyz_abc' \(it has .*eng.*tesseract-ocr-xyz-abc$"):
        engine("tesseract", lang="eng+xyz_abc").facts()


def test_what_is_not_installed_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    peers = [engine("tesseract"), engine("rapidocr")]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(rapid, "MODULE", "no_such_module_here")
    remedies = ("apt-get install tesseract-ocr$", r"pip install 'zoo-ocr-peers\[rapidocr\]'$")
    for peer, words in zip(peers, remedies, strict=True):
        with pytest.raises(InputError, match=words) as raised:
            peer.facts()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sleep 30", "took longer than 0.2 s"),
        ("echo first >&2; echo no such thing >&2; exit 3", "status 3: no such thing"),
        ("echo one", "gave 1 pages for 2 images"),
    ],
)
def test_a_program_that_fails_or_hangs_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: Line, engine: Engine, body: str, said: str
) -> None:
    program(tmp_path, f"PATH=/usr/bin:/bin\n{body}")
    peer = engine("tesseract", timeout=0.1)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZooError, match=said) as raised:
        peer.answer([line("a"), line("b")])
    assert "\n" not in str(raised.value)


def test_pages_of_older_versions_are_told_apart_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: Line, engine: Engine
) -> None:
    """Tesseract 4 writes a form feed behind each page, 5 between them."""
    program(tmp_path, r"printf 'one\nline\n\f\f'")
    peer = engine("tesseract")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert peer.answer([line("a"), line("b")]) == ["one line", ""]


def test_an_image_keeps_its_pixels_unless_it_is_low() -> None:
    pixels = np.arange(48 * 60 * 3, dtype=np.uint64).reshape(48, 60, 3).astype(np.uint8)
    assert np.array_equal(np.asarray(prepared(pixels, 48, 0)), pixels)
    assert np.array_equal(np.asarray(prepared(pixels, None, 3))[3:-3, 3:-3], pixels)
    assert np.asarray(prepared(pixels[:12], 48, 0)).shape == (48, 240, 3)


def test_a_border_goes_on_as_the_background() -> None:
    pixels = np.full((20, 40, 3), (10, 20, 30), dtype=np.uint8)
    pixels[8:12, 5:35] = 255
    framed = np.asarray(prepared(pixels, None, 5))
    assert framed.shape == (30, 50, 3)
    assert np.array_equal(framed[0], np.full((50, 3), (10, 20, 30), dtype=np.uint8))


def test_an_engine_reads_without_torch_and_says_what_it_is_without_being_loaded(engine: Engine) -> None:
    for name in ("tesseract", "rapidocr"):
        engine(name)
    code = """if True:
        import sys
        import numpy as np
        from zoo.tasks.images import PixelImage
        from zoo_ocr_peers.options import RapidOcrOptions, TesseractOptions
        from zoo_ocr_peers.rapid import RapidOcr
        from zoo_ocr_peers.tesseract import Tesseract

        RapidOcr(RapidOcrOptions(), 1).facts()
        Tesseract(TesseractOptions(), 1).answer([PixelImage(np.full((32, 64, 3), 255, np.uint8))])
        print(sorted({"torch", "transformers", "rapidocr_onnxruntime", "cv2"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
