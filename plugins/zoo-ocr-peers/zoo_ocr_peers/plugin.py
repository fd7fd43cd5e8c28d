"""What this distribution brings. Light: nothing here imports an engine."""

from collections.abc import Iterator

from zoo.registry import Component, hookimpl

_OPTIONS = "zoo_ocr_peers.options"


@hookimpl
def zoo_components() -> Iterator[Component]:
    yield Component(
        kind="peer",
        name="tesseract",
        target="zoo_ocr_peers.tesseract:Tesseract",
        options=f"{_OPTIONS}:TesseractOptions",
        summary="Tesseract's LSTM recogniser, run as the program that Debian has",
        references=("doi:10.1109/ICDAR.2007.4376991", "https://tesseract-ocr.github.io/tessdoc/"),
        traits={"inputs": "image"},
    )
    yield Component(
        kind="peer",
        name="rapidocr",
        target="zoo_ocr_peers.rapid:RapidOcr",
        options=f"{_OPTIONS}:RapidOcrOptions",
        summary="PaddleOCR's PP-OCRv4 for Chinese and English, run by RapidOCR on ONNX Runtime",
        references=("arXiv:2009.09941", "https://github.com/RapidAI/RapidOCR"),
        traits={"inputs": "image"},
    )
