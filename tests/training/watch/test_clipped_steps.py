"""Which steps were clipped, said in few numbers."""

from __future__ import annotations

import json

from zoo.training.watch.clipped_steps import RANGES, ClippedSteps


def test_runs_of_clipped_steps_are_one_range_each() -> None:
    steps = ClippedSteps()
    for step in range(1, 11):
        steps.add(step, step in {1, 2, 3, 7, 10}, {})
    assert steps.facts() == {"steps": 10, "clipped": 5, "ranges": [[1, 3], [7, 7], [10, 10]]}


def test_ranges_are_bounded_and_say_how_far_they_go() -> None:
    steps = ClippedSteps()
    for step in range(1, 4 * RANGES + 1):
        steps.add(step, step % 2 == 1, {})
    facts = steps.facts()
    assert len(facts["ranges"]) == RANGES
    assert facts["ranges_complete_to"] == facts["ranges"][-1][1] == 2 * RANGES - 1
    assert facts["clipped"] == 2 * RANGES


def test_groups_are_counted_each() -> None:
    steps = ClippedSteps()
    steps.add(1, True, {"embeddings": True, "norms": False})
    steps.add(2, False, {"embeddings": False, "norms": False})
    assert steps.facts()["clipped_by_group"] == {"embeddings": 1, "norms": 0}
    assert steps.facts()["clipped"] == 1


def test_an_interrupted_count_goes_on() -> None:
    whole, first, second = ClippedSteps(), ClippedSteps(), ClippedSteps()
    for step in range(1, 9):
        whole.add(step, step in {2, 4, 5}, {"norms": step == 5})
        (first if step < 5 else second).add(step, step in {2, 4, 5}, {"norms": step == 5})
        if step == 4:
            second.load_state(json.loads(json.dumps(first.state())))
    assert second.facts() == whole.facts()
