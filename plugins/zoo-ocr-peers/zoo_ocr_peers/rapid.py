"""RapidOCR: PaddleOCR's models on ONNX Runtime, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import InputError, ZooError
from zoo.tasks.images import Source
from zoo.tasks.peers import Peer, PeerFacts
from zoo_ocr_peers.digests import digest
from zoo_ocr_peers.images import pixels_of, prepared
from zoo_ocr_peers.options import RapidOcrOptions

MODULE, DISTRIBUTION = "rapidocr_onnxruntime", "rapidocr-onnxruntime"
_MODELS = {"rec": "PP-OCRv4 reads", "det": "looks for lines", "cls": "tells what is upside down"}
_LIBRARIES = ("onnxruntime", "opencv-python", "opencv-python-headless")


class RapidOcr(Peer):
    """RapidOCR with the models in its package: ``ch_PP-OCRv4`` (Du et al. 2020, arXiv:2009.09941, and its successors).

    Images are read one by one: in a batch of several, RapidOCR pads each to the widest, which changes what it reads.
    """

    options: RapidOcrOptions

    def __init__(self, options: RapidOcrOptions, threads: int) -> None:
        super().__init__(options, threads)
        self._engine: Any = None

    def facts(self) -> PeerFacts:
        found = util.find_spec(MODULE)
        if found is None or not found.submodule_search_locations:
            raise InputError("rapidocr-onnxruntime is not installed: pip install 'zoo-ocr-peers[rapidocr]'")
        folder = Path(next(iter(found.submodule_search_locations))) / "models"
        used = ["rec", *(["det"] if self.options.detect else []), *(["cls"] if self.options.turned else [])]
        models: dict[str, str] = {}
        for part in used:
            paths = sorted(folder.glob(f"*_{part}_infer.onnx"))
            if not paths:
                raise InputError(f"rapidocr-onnxruntime brings no model that {_MODELS[part]}: install version 1.4")
            models |= {path.name: digest(path) for path in paths}
        return PeerFacts(
            engine="rapidocr",
            version=metadata.version(DISTRIBUTION),
            models=models,
            libraries={name: version for name in _LIBRARIES if (version := _version(name)) is not None},
            precision="float32",
        )

    def load(self) -> None:
        if self._engine is not None:
            return
        self.facts()
        try:
            import cv2
            from rapidocr_onnxruntime import RapidOCR  # type: ignore[import-untyped]
        except ImportError as error:
            # The machine's fault, and no result: OpenCV needs libraries that pip does not bring.
            raise ZooError(
                f"rapidocr-onnxruntime cannot be imported: {error} (OpenCV: apt-get install libgl1 libglib2.0-0)"
            ) from None

        cv2.setNumThreads(self.threads)
        self._engine = RapidOCR(intra_op_num_threads=self.threads, inter_op_num_threads=1)

    def answer(self, sources: Sequence[Source]) -> list[str]:
        images = [prepared(pixels, self.options.scale_to, self.options.border) for pixels in pixels_of(sources)]
        self.load()
        return [self._read(np.asarray(image)) for image in images]

    def _read(self, pixels: Any) -> str:
        blue_first = np.ascontiguousarray(pixels[:, :, ::-1])  # [H, W, 3] as OpenCV has it
        found, _ = self._engine(blue_first, use_det=self.options.detect, use_cls=self.options.turned, use_rec=True)
        # Of a line [text, score]; of lines that were looked for [box, text, score].
        texts = [item[1] if self.options.detect else item[0] for item in found or []]
        return " ".join(text.strip() for text in texts if text.strip())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
