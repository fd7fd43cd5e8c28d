from __future__ import annotations

import itertools
import time

import pytest

from zoo.measure.warmup import MOST, WINDOW, warm_up


def falling(*seconds: float, then: float):
    """A call that takes these seconds, one after the other, and then always the last."""
    left = itertools.chain(seconds, itertools.repeat(then))
    return lambda _: time.sleep(next(left))


def test_it_goes_on_while_the_times_fall_and_ends_when_they_stop() -> None:
    steps = [0.020] * WINDOW + [0.012] * WINDOW + [0.006] * WINDOW
    calls = warm_up(falling(*steps, then=0.004), ["a"], at_least=0)
    # Three windows that fall, the first as fast as it gets, and one that is no faster.
    assert calls >= 5 * WINDOW
    assert warm_up(falling(then=0.01), ["a"], at_least=0) < 5 * WINDOW


def test_it_makes_at_least_as_many_calls_as_it_is_told_through_all_arguments() -> None:
    seen: list[str] = []
    calls = warm_up(seen.append, ["a", "b", "c", "d", "e", "f", "g"], at_least=9)
    assert seen[:9] == ["a", "b", "c", "d", "e", "f", "g", "a", "b"]
    assert calls == len(seen) > 9


def test_windows_repeat_the_same_arguments() -> None:
    seen: list[str] = []
    warm_up(seen.append, list("abcdefg"), at_least=0)
    windows = [seen[start : start + WINDOW] for start in range(0, len(seen), WINDOW)]
    assert windows == [list("abcde")] * len(windows)


def test_times_that_never_stop_falling_end_at_the_most() -> None:
    clock = iter(0.05 * 0.85 ** (number // WINDOW) for number in range(MOST))
    assert warm_up(lambda _: time.sleep(next(clock)), ["a"], at_least=0, at_most=3 * WINDOW) <= 3 * WINDOW
    assert warm_up(str, ["a"], at_least=20, at_most=10) == 20


def test_no_argument_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        warm_up(str, [], at_least=1)
