"""Lines that anybody can read, and engines where they are installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib import util
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.tasks.images import PixelImage
from zoo.tasks.peers import Peer

INSTALLED = {
    "tesseract": shutil.which("tesseract") is not None,
    "rapidocr": util.find_spec("rapidocr_onnxruntime") is not None,
}


@pytest.fixture(scope="session")
def engine() -> Callable[..., Peer]:
    """``engine(name, **options)``: the peer, on one thread. Skips where it is not installed, but in CI."""

    def make(name: str, **options: Any) -> Peer:
        if not INSTALLED[name] and not os.environ.get("CI"):
            pytest.skip(f"needs {name}")
        record = current_registry().get("peer", f"zoo-ocr-peers/{name}")
        peer: Peer = Chosen(record, record.load_options().model_validate(options)).create(1)
        return peer

    return make


@pytest.fixture(scope="session")
def line() -> Callable[..., PixelImage]:
    """``line(text, height=40)``: black on white, in Pillow's own font (Aileron)."""

    def draw(text: str, height: int = 40, ink: str = "black", paper: str = "white") -> PixelImage:
        font = ImageFont.load_default(size=round(0.7 * height))
        image = Image.new("RGB", (round(font.getlength(text)) + height, height), paper)
        ImageDraw.Draw(image).text((height / 2, height / 2), text, fill=ink, font=font, anchor="lm")
        return PixelImage(np.asarray(image))

    return draw
