"""Options of OCR engines."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zoo.spec.options import Options

Height = Annotated[int, Field(ge=8, le=512)]


class TesseractOptions(Options):
    """Options of `tesseract`."""

    lang: str = Field(
        default="eng",
        pattern=r"^[A-Za-z0-9_]+(\+[A-Za-z0-9_]+)*$",
        description="Language data to read with, such as eng, chi_sim, or eng+jpn",
    )
    psm: Literal[7, 13] = Field(
        default=7,
        description="Page segmentation: the image is one line (7), or one line that is read without Tesseract's own "
        "search for words, baselines and borders (13)",
    )
    scale_to: Height | None = Field(
        default=48, description="Height in pixels that lower images are enlarged to; null: they are read as they are"
    )
    border: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description="Pixels of background that are put around the image once it is enlarged; where absent 10 with psm "
        "7, which looks for the line, and 0 with psm 13, which reads all that is there",
    )
    timeout: float = Field(default=60.0, gt=0, le=3600, description="Seconds that one image may take")


class RapidOcrOptions(Options):
    """Options of `rapidocr`."""

    detect: bool = Field(
        default=False,
        description="Look for lines first and read what is found, left to right and top to bottom; else the image is "
        "one line",
    )
    turned: bool = Field(default=False, description="Turn round what its classifier takes to be upside down")
    scale_to: Height | None = Field(
        default=None,
        description="Height in pixels that lower images are enlarged to; null: RapidOCR scales them itself (a line to "
        "48 pixels)",
    )
    border: int = Field(
        default=0, ge=0, le=256, description="Pixels of background that are put around the image once it is enlarged"
    )
