"""The conformance kit over options other than the defaults."""

from zoo.testing import BoxLossSuite


class TestSmoothL1(BoxLossSuite):
    component = "zoo-iou-losses/smooth-l1"
    options = ({"beta": 0.05},)


class TestCIoU(BoxLossSuite):
    component = "zoo-iou-losses/ciou"
    options = ({"minimum_iou": 0.5},)


class TestSIoU(BoxLossSuite):
    component = "zoo-iou-losses/siou"
    options = ({"theta": 1.0},)


class TestAlphaIoU(BoxLossSuite):
    component = "zoo-iou-losses/alpha-iou"
    options = ({"alpha": 1.5, "penalty": "giou"}, {"penalty": "diou"}, {"penalty": "ciou"})


class TestWIoUv3(BoxLossSuite):
    component = "zoo-iou-losses/wiou-v3"
    options = ({"alpha": 1.4, "delta": 5.0, "momentum": 1.0},)


class TestInnerIoU(BoxLossSuite):
    component = "zoo-iou-losses/inner-iou"
    options = ({"of": "ciou", "ratio": 1.25}, {"of": "l1"}, {"of": {"use": "inner-iou", "of": "siou"}})


class TestKFIoU(BoxLossSuite):
    component = "zoo-iou-losses/kfiou"
    options = ({"form": "exp", "rescaled": True}, {"form": "ln"}, {"form": "ln", "rescaled": True})


class TestPublishedDIoU(BoxLossSuite):
    component = "zoo-iou-losses/diou-published"
    options = ({"source": "simulation"},)
