"""Tesseract, run as a program: nothing of it is linked into this process."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from zoo.errors import InputError, ZooError
from zoo.tasks.images import Source
from zoo.tasks.peers import Peer, PeerFacts
from zoo_ocr_peers.digests import digest
from zoo_ocr_peers.images import pixels_of, prepared
from zoo_ocr_peers.options import TesseractOptions

PROGRAM = "tesseract"
_LISTED = re.compile(r'^List of available languages(?: in "(?P<folder>.*)")? \(\d+\):$')
_ROOM = {7: 10, 13: 0}
"""Pixels around an image, by psm."""
_SHORT = 30.0
"""Seconds that questions about the installation may take."""


class Tesseract(Peer):
    """Tesseract 4 or newer, with its LSTM engine (Smith 2007, and the project's documentation).

    One image is one call of the program, as its users call it; several are one call with a list of files, which starts
    it once. Either way each image is read by itself.
    """

    options: TesseractOptions

    def facts(self) -> PeerFacts:
        program = _program()
        said = _run([program, "--version"], _SHORT).stdout.splitlines() or [""]
        version = said[0].removeprefix(PROGRAM).strip().removeprefix("v") or "unknown"
        folder, present = _installed(program)
        models = {}
        for lang in self.options.lang.split("+"):
            if lang not in present:
                package = f"tesseract-ocr-{lang.lower().replace('_', '-')}"
                raise InputError(
                    f"tesseract has no data for the language '{lang}' (it has {', '.join(present) or 'none'}): "
                    f"apt-get install {package}"
                )
            models[f"{lang}.traineddata"] = folder / f"{lang}.traineddata"
        libraries = dict(re.findall(r"^\s*(leptonica)-(\S+)", "\n".join(said), re.MULTILINE))
        precisions = {_precision(path) for path in models.values()}
        return PeerFacts(
            engine=PROGRAM,
            version=version,
            models={name: digest(path) for name, path in models.items()},
            libraries=libraries,
            precision=precisions.pop() if len(precisions) == 1 else "unknown",
        )

    def answer(self, sources: Sequence[Source]) -> list[str]:
        border = self.options.border
        if border is None:
            border = _ROOM[self.options.psm]
        images = [prepared(pixels, self.options.scale_to, border) for pixels in pixels_of(sources)]
        if len(images) == 1:
            return [_text(self._read(["stdin"], 1, _png(images[0])))]
        return self._together(images) if images else []

    def _together(self, images: Sequence[Image.Image]) -> list[str]:
        with tempfile.TemporaryDirectory(prefix="zoo-tesseract-") as folder:
            paths = [Path(folder) / f"{number}.png" for number in range(len(images))]
            for path, image in zip(paths, images, strict=True):
                path.write_bytes(_png(image))
            listed = Path(folder) / "images.txt"
            listed.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
            pages = self._read([str(listed)], len(images)).split("\f")
        if len(pages) == len(images) + 1 and not pages[-1].strip():
            pages.pop()
        if len(pages) != len(images):
            raise ZooError(f"tesseract gave {len(pages)} pages for {len(images)} images")
        return [_text(page) for page in pages]

    def _read(self, inputs: Sequence[str], count: int, given: bytes | None = None) -> str:
        options = self.options
        command = [_program(), *inputs, "stdout", "-l", options.lang, "--psm", str(options.psm), "--oem", "1"]
        # A form feed stands between two pages (before Tesseract 5 behind each), empty ones too.
        done = _run([*command, "-c", "page_separator=\f"], options.timeout * count, given, self.threads)
        return done.stdout


def _text(page: str) -> str:
    """A page as one line: what stands below one another is set side by side."""
    return " ".join(page.replace("\f", " ").split("\n")).strip()


def _png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG", compress_level=1)
    return written.getvalue()


def _program() -> str:
    found = shutil.which(PROGRAM)
    if found is None:
        raise InputError("tesseract is not installed: apt-get install tesseract-ocr")
    return found


def _installed(program: str) -> tuple[Path, list[str]]:
    """The folder of the language data, and the languages there. Raises InputError where tesseract does not say."""
    lines = _run([program, "--list-langs"], _SHORT).stdout.splitlines()
    heads = [(number, match) for number, line in enumerate(lines) if (match := _LISTED.match(line.strip()))]
    folder = (heads[0][1]["folder"] if heads else None) or os.environ.get("TESSDATA_PREFIX")
    if not heads or not folder:
        raise InputError("tesseract does not say where its language data lies: set TESSDATA_PREFIX to that folder")
    return Path(folder), [line.strip() for line in lines[heads[0][0] + 1 :] if line.strip()]


def _precision(path: Path) -> str:
    """What the weights of a language are held in: combine_tessdata, which comes with tesseract, tells."""
    tool = shutil.which("combine_tessdata")
    if tool is None:
        return "unknown"
    found = re.search(r"\bint_mode=([01])\b", _run([tool, "-l", str(path)], _SHORT).stdout)
    return "unknown" if found is None else {"1": "int8", "0": "float32"}[found[1]]


def _run(
    command: Sequence[str], timeout: float, given: bytes | None = None, threads: int = 1
) -> subprocess.CompletedProcess[str]:
    """What a program said. Raises ZooError, with its last line, where it fails or takes more than `timeout` seconds."""
    environ = {**os.environ, "OMP_THREAD_LIMIT": str(threads), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, input=given or b"", capture_output=True, timeout=timeout, env=environ, check=False
        )
    except subprocess.TimeoutExpired:
        raise ZooError(f"{Path(command[0]).name} took longer than {timeout:g} s") from None
    except OSError as error:
        raise ZooError(f"{command[0]}: {error.strerror or error}") from None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if done.returncode:
        last = said[-1] if said else "it said nothing"
        raise ZooError(f"{Path(command[0]).name} failed with status {done.returncode}: {last}")
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode("utf-8", "replace"), "\n".join(said)
    )
