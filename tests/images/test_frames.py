"""Frames of a CTC head as tokens."""

from __future__ import annotations

import numpy as np

from zoo.images.frames import best_path

BLANK, END = 0, 1


def test_repeats_are_merged_unless_a_blank_parts_them_and_what_is_behind_an_images_frames_is_not_read() -> None:
    """ "hello" of Graves et al.'s own example: the blank keeps the two l apart."""
    h, e, n, o = 5, 6, 7, 8
    best = np.array([[h, h, e, 0, n, 0, n, o, o], [0, 0, e, e, n, n, n, n, n], [0, 0, 0, h, h, h, h, h, h]])
    frames = np.array([9, 4, 3])
    assert best_path(best, frames, blank=BLANK, end=END) == [[h, e, n, n, o, END], [e, END], [END]]


def test_a_text_that_is_too_long_is_cut_and_has_no_end() -> None:
    best = np.array([[5, 6, 7], [5, 0, 0]])
    assert best_path(best, np.array([3, 3]), blank=BLANK, end=END, longest=3) == [[5, 6, 7], [5, END]]
