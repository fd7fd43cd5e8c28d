from __future__ import annotations

import numpy as np
import pytest

from zoo.export.runtime.ranking import GROUP, best, log_normaliser


@pytest.mark.parametrize("vocabulary", [5, 8 * GROUP, 8 * GROUP + 1, 40 * GROUP, 40 * GROUP + 17])
def test_the_best_are_those_that_sorting_gives(vocabulary: int) -> None:
    draw = np.random.default_rng(3)
    scores = draw.standard_normal((6, vocabulary)).astype(np.float32)
    scores[1, -3:] = 9.0, 8.0, 7.0  # behind the last whole group
    scores[2, : vocabulary // 2] = -np.inf
    scores[4:] = -np.inf
    scores[4, [0, 2]] = 1.0, 2.0
    normaliser = draw.standard_normal(6).astype(np.float32)
    running = np.array([[0.0, -2.0], [-1.0, -0.5], [-3.0, 0.0]], np.float32)  # three sentences, two rows of each
    count = 8
    found = best(scores, normaliser, running, count)
    all_of_it = ((scores - normaliser[:, None]) + running.reshape(-1, 1)).reshape(3, -1)  # [N, K * V]
    assert np.array_equal(found.values, -np.sort(-all_of_it, axis=1)[:, :count])
    chosen = found.beams * vocabulary + found.places
    assert np.array_equal(np.take_along_axis(all_of_it, chosen, axis=1), found.values)
    assert all(len(set(row)) == min(count, 2 * vocabulary) for row in chosen.tolist())


def test_the_normaliser_is_log_sum_exp_where_scores_are_large_or_missing() -> None:
    scores = np.array([[1000.0, 1000.0, -np.inf], [-1000.0, -1001.0, -999.0], [1.0, 3.0, 2.0]], np.float32)
    spread = np.log(1 + np.exp(-1) + np.exp(-2))
    expected = [1000 + np.log(2), -999 + spread, 3 + spread]
    assert log_normaliser(scores, np.empty(3, np.float32)) == pytest.approx(expected, abs=1e-4)
