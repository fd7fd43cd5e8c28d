"""The conformance kit over options other than the defaults."""

from zoo.testing import ImageInputSuite, PatchPositionSuite


class TestLetterbox(ImageInputSuite):
    component = "zoo-vision/letterbox"
    options = ({"height": 32, "width": 64, "colour": [255], "align": "top-left"},)


class TestNative(ImageInputSuite):
    component = "zoo-vision/native"
    options = ({"multiple": 12, "max_patches": 24},)


class TestRelativeBias(PatchPositionSuite):
    component = "zoo-vision/relative-bias-2d"
    options = ({"rows": 2, "columns": 3, "shared": False},)
