from __future__ import annotations

import math
from typing import Any

import pytest

from zoo.tasks import Detection, GroundTruth


@pytest.mark.parametrize("box", [(0, 0, 1), (2, 0, 1, 1), (0, 2, 1, 1), (0, 0, math.nan, 1), (0, 0, math.inf, 1)])
def test_a_box_has_its_corners_in_order(box: Any) -> None:
    for make in (lambda: Detection(box, 0.5, 1), lambda: GroundTruth(box, 1)):
        with pytest.raises(ValueError, match="expected four finite numbers x1, y1, x2, y2"):
            make()


@pytest.mark.parametrize("category", ["cat", 1.0, True])
def test_a_category_is_a_number_of_its_own(category: Any) -> None:
    with pytest.raises(ValueError, match="expected an integer"):
        GroundTruth((0, 0, 1, 1), category)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_is_finite(score: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number"):
        Detection((0, 0, 1, 1), score, 1)


def test_a_box_without_extent_is_one() -> None:
    assert Detection((1, 1, 1, 1), -3.0, 0).box == (1, 1, 1, 1)
