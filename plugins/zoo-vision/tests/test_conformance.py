"""The conformance kit over options other than the defaults."""

from zoo.testing import ImageInputSuite, PatchPositionSuite


class TestLetterbox(ImageInputSuite):
    component = "zoo-vision/letterbox"
    options = ({"height": 32, "width": 64, "colour": [255], "align": "top-left"},)


class TestNative(ImageInputSuite):
    component = "zoo-vision/native"
    options = ({"multiple": 12, "max_patches": 24},)


class TestLarge(ImageInputSuite):
    component = "zoo-vision/large"
    options = ({"long_side": 80, "upscale": False},)


class TestCropped(PatchPositionSuite):
    component = "zoo-vision/absolute-cropped"
    options = ({"rows": 12, "columns": 14, "anchor": "centre"},)


class TestFourier(PatchPositionSuite):
    component = "zoo-vision/fractional-fourier"
    options = ({"bandwidth": 1.0, "frequencies": 1},)


class TestRelativeBias(PatchPositionSuite):
    component = "zoo-vision/relative-bias-2d"
    options = ({"rows": 2, "columns": 3, "shared": False},)
