"""Runs exports with onnxruntime or CTranslate2, numpy and tokenizers: nothing here imports torch or transformers.
They compute on the processor, or on a GPU (`zoo.export.runtime.devices`).

``load(folder).translate(texts)`` gives what the model's own decoding gives in torch, greedy or by beams;
``load_recognizer(folder).recognize(images)`` what it reads in images, ``load_detector(folder).detect(images)`` the
boxes that it finds in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.export.runtime.devices import AUTO
from zoo.export.runtime.translator import Translator, load

if TYPE_CHECKING:
    from zoo.export.runtime.detector import Detector
    from zoo.export.runtime.recognizer import Recognizer

__all__ = ["Translator", "load", "load_detector", "load_recognizer"]


def load_recognizer(folder: Path | str, *, threads: int | None = None, device: str = AUTO) -> Recognizer:
    """See `zoo.export.runtime.recognizer`, which is imported here: a translator has no need of it."""
    from zoo.export.runtime.recognizer import load_recognizer as load_it

    return load_it(folder, threads=threads, device=device)


def load_detector(folder: Path | str, *, threads: int | None = None, device: str = AUTO) -> Detector:
    """See `zoo.export.runtime.detector`."""
    from zoo.export.runtime.detector import load_detector as load_it

    return load_it(folder, threads=threads, device=device)
