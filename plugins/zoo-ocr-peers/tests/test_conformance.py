"""The conformance kit over options other than the defaults."""

from zoo.tasks.images import PixelImage, Source
from zoo.testing import PeerSuite
from zoo.testing.peer import bars, blank


class TestRawLine(PeerSuite):
    component = "zoo-ocr-peers/tesseract"
    options = ({"psm": 13, "scale_to": None, "border": 2},)


class TestDetecting(PeerSuite):
    component = "zoo-ocr-peers/rapidocr"
    options = ({"detect": True, "turned": True, "scale_to": 64, "border": 8},)

    def sources(self) -> list[Source]:
        # Its detector enlarges an image until the shorter side has 736 pixels: lines would be seconds each.
        return [PixelImage(pixels) for pixels in (bars(64, 64), blank(48, 64))]
