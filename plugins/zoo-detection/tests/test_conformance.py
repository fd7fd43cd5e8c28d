"""The conformance kit over options other than those of the components' own examples."""

from zoo.testing import DetectorSuite, MatcherSuite

_SMALL = {"width": 8, "neck": 16, "head_blocks": 1}


class TestHungarian(MatcherSuite):
    component = "zoo-detection/hungarian"
    options = ({"class_form": "focal", "box_loss": "ciou"}, {"l1_cost": 0.0, "box_loss": "l1"}, {"box_cost": 0.0})


class TestAnchorFree(DetectorSuite):
    component = "zoo-detection/anchor-free"
    options = (
        {**_SMALL, "matcher": "task-aligned", "box_loss": "ciou", "reg_max": 0, "levels": [4, 16], "side_floor": 1.0},
        {**_SMALL, "matcher": {"use": "hungarian", "box_cost": 0.0}, "box_loss": "wiou-v3", "nms_iou": None},
    )
