"""The ceiling of anchor-free heads: known figures, a search over all anchors, and the command."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask
from zoo_tasks_vision.ceiling.assignment import Head, assignment_ceiling

from zoo.cli.main import main

IMAGE = (1280.0, 1280.0)


def everywhere(height, width, step=1 / 16):
    """Boxes of one shape at every offset of a period of 32 pixels, both ways alike."""
    offsets = np.arange(step / 2, 32, step)
    # Offsets along the width hardly matter for long boxes: a few of them are enough.
    pairs = list(itertools.product(offsets[:: len(offsets) // 16], offsets))
    boxes = np.array([[200 + x, 200 + y, 200 + x + width, 200 + y + height] for x, y in pairs])
    return boxes, np.tile(IMAGE, (len(boxes), 1))


def test_a_line_of_12_by_800_pixels_has_a_mean_ceiling_of_71_percent():
    """By hand: stride 32 has an anchor in it with probability 12/32 and reaches all of it; stride 16, where 32 has
    none, with 16/32 and reaches 2 * 15 * 16 of 800; stride 8 in the remaining 4/32 and reaches 2 * 15 * 8."""
    boxes, sizes = everywhere(12, 800)
    expected = 12 / 32 + 16 / 32 * 480 / 800 + 4 / 32 * 240 / 800
    assert expected == pytest.approx(0.71, abs=0.005)
    found = assignment_ceiling(boxes, sizes, Head())
    assert found.iou.mean() == pytest.approx(expected, abs=1e-6)
    assert found.found.all()


def test_of_lines_of_4_by_100_pixels_12_percent_have_no_candidate():
    """Anchors of strides 8, 16 and 32 lie at 4, 8, 12, 16, 20, 24 and 28 of 32 rows: between 28 and 36 four rows high
    boxes have none, in 4 of 32 places."""
    boxes, sizes = everywhere(4, 100)
    found = assignment_ceiling(boxes, sizes, Head())
    assert 1 - found.found.mean() == pytest.approx(4 / 32)
    assert set(found.iou[~found.found]) == {0.0}


def test_a_level_of_stride_4_a_longer_reach_and_a_floor_raise_the_ceiling():
    thin, sizes = everywhere(4, 100)
    assert assignment_ceiling(thin, sizes, Head(strides=(4, 8, 16, 32))).found.all()
    assert assignment_ceiling(thin, sizes, Head(side_floor=1.0)).found.all()
    long, sizes = everywhere(12, 800)
    assert assignment_ceiling(long, sizes, Head(reg_max=None)).iou.mean() == pytest.approx(1.0)


def brute_force(box, size, head):
    """Every anchor of every level, one by one; overlaps by pycocotools."""
    best = 0.0
    truth = [[*box[:2], box[2] - box[0], box[3] - box[1]]]
    for stride in head.strides:
        reach = np.inf if head.reg_max is None else (head.reg_max - 1) * stride
        for row, column in itertools.product(range(-(-size[0] // stride)), range(-(-size[1] // stride))):
            x, y = (column + 0.5) * stride, (row + 0.5) * stride
            if not (box[0] < x < box[2] and box[1] < y < box[3]):
                continue
            left, top = min(x - box[0], reach), min(y - box[1], reach)
            given = [[x - left, y - top, left + min(box[2] - x, reach), top + min(box[3] - y, reach)]]
            best = max(best, mask.iou(given, truth, [0])[0, 0])
    return best


@settings(deadline=None, max_examples=40)
@given(
    corner=st.tuples(st.floats(0, 150), st.floats(0, 80)),
    shape=st.tuples(st.floats(0.5, 110), st.floats(0.5, 60)),
    head=st.sampled_from([Head(), Head((4, 16), 3), Head((16,), 2), Head((8, 64), None)]),
)
def test_no_anchor_gives_a_better_box(corner, shape, head):
    size = (140, 260)
    box = (*corner, corner[0] + shape[0], corner[1] + shape[1])
    found = assignment_ceiling(np.array([box]), np.array([size], float), head)
    assert found.iou[0] == pytest.approx(brute_force(box, size, head), abs=1e-9)


def test_a_floor_is_for_looking_and_not_for_comparing():
    """A box of 2 rows between the anchors at 4 and 12: from 4 it reaches 7 to 9 only by giving all rows from 4 on."""
    box = np.array([[0.0, 7.0, 100.0, 9.0]])
    found = assignment_ceiling(box, np.array([IMAGE]), Head((8,), side_floor=1.0))
    assert found.iou[0] == pytest.approx(2 / 5)  # rows 4 to 9, or 7 to 12
    assert not assignment_ceiling(box, np.array([IMAGE]), Head((8,))).found[0]


@pytest.mark.parametrize("wrong", [{"strides": ()}, {"strides": (0,)}, {"reg_max": 1}])
def test_heads_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Head(**wrong)


def test_boxes_and_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"boxes \(2, 4\) and sizes \(1, 2\)"):
        assignment_ceiling(np.zeros((2, 4)), np.zeros((1, 2)), Head())


@pytest.fixture
def spec(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    images, annotations = [], []
    for number in range(3):
        Image.new("L", (640, 640), 255).save(tmp_path / f"page{number}.png")
        images.append({"id": number, "file_name": f"page{number}.png"})
        # Twice as large: 12 x 800 with anchors of stride 32 in it, and 4 x 100 between all anchors.
        for box in ([50, 55, 400, 6], [50, 110.5, 50, 2]):
            annotations.append({"id": len(annotations), "image_id": number, "category_id": 1, "bbox": box})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "line"}]}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    (tmp_path / "task.yaml").write_text(f"task: {{use: coco-files, name: mine, train: {tmp_path}/boxes.json}}\n")
    return tmp_path / "task.yaml"


def test_the_command_reports_a_tasks_boxes_at_the_size_of_the_detector(spec, capsys):
    assert main(["ceiling", str(spec), "--size", "1280", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["boxes"] == 2
    assert report["by_size"]["aspect >=40, height <8"] == {
        "boxes": 1,
        "mean_iou": 1.0,
        "without_candidate": 0.0,
        **dict.fromkeys(("iou_0.5", "iou_0.75", "iou_0.9"), 1.0),
    }
    assert report["by_size"]["aspect 15-40, height <8"]["without_candidate"] == 1.0
    assert report["all"]["mean_iou"] == 0.5
    assert main(["ceiling", str(spec), "--size", "1280", "--stride", "4", "--stride", "32"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split()[:4] == ["BOXES", "NUMBER", "MEAN", "IOU"]
    assert len(table) == 4


def test_the_command_refuses_what_has_no_boxes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    path = tmp_path / "task.yaml"
    path.write_text("name: x\n")
    assert main(["ceiling", str(path)]) == 2
    assert capsys.readouterr().err.strip().endswith("no section 'task'")
    path.write_text(
        "task: {use: translation, source: qaa, target: qab, corpus: {use: generated, pairs: 9, dev_pairs: 2, "
        "test_pairs: 2}}\n"
    )
    assert main(["ceiling", str(path)]) == 2
    assert "task generated-qaa-qab is none of detection" in capsys.readouterr().err
