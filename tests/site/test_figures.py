"""Numbers, names and languages as pages show them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.site import figures
from zoo.site.languages import languages
from zoo.site.naming import one_line, printable, slug, unique_keys


@pytest.mark.parametrize(
    ("value", "text"),
    [(24.6, "24.6"), (1234.56, "1,234.6"), (-0.04, "0.0"), (-1.25, "−1.2"), (float("inf"), "inf")],
)
def test_points_have_one_decimal(value, text):
    assert figures.score(value, "points") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.012345, "0.0123"), (98.7, "98.7"), (104.2, "104"), (12345.6, "12,346"), (1e-9, "1.00e−09")],
)
def test_other_numbers_have_three_significant_digits_and_whole_parts_are_kept(value, text):
    assert figures.significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(512, "512"), (9_999, "9,999"), (65_536, "65.5 k"), (7_350_272, "7.35 M"), (1.5e9, "1.50 G")]
)
def test_counts_are_scaled_from_ten_thousand(value, text):
    assert figures.count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.14159, "3.14 s"), (59.9, "59.9 s"), (161.4, "2m 41s"), (3599.6, "1h 00m"), (11_100, "3h 05m")],
)
def test_durations_use_two_units(seconds, text):
    assert figures.duration(seconds) == text


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.just(10**400)))
def test_no_number_that_a_record_can_hold_breaks_a_page(value):
    for show in (figures.significant, figures.count, figures.duration, figures.mebibytes, figures.milliseconds):
        assert show(value)
    assert figures.fixed(value, 1)


@given(st.floats(1e-5, 1e11))
def test_significant_digits_keep_the_value_to_half_a_percent(value):
    assert float(figures.significant(value).replace(",", "").replace("−", "-")) == pytest.approx(value, rel=5.1e-3)


@given(st.text(), st.text())
def test_slugs_are_plain_and_distinct_for_distinct_names(one, other):
    assert re.fullmatch(r"[a-z0-9-]{1,48}-[0-9a-f]{10}", slug("task", one))
    assert (slug("task", one) == slug("task", other)) == (one == other)


@pytest.mark.parametrize("name", ["../../etc/passwd", "..", "/", "C:\\x", "con", ".zoo", "a/b", "\x00", "名前"])
def test_a_strangers_path_is_never_a_path(name):
    assert "/" not in slug(name)
    assert "\\" not in slug(name)
    assert not slug(name).startswith(".")


def test_parts_do_not_run_into_each_other():
    assert slug("a", "b-c") != slug("a-b", "c")


def test_keys_of_equal_labels_differ():
    keys = unique_keys(["BLEU", "bleu", "BLEU 2", "BLEU--2", "名", ""])
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in keys)


@given(st.text())
def test_printable_text_has_nothing_that_html_cannot_hold(text):
    shown = printable(text + "\x00\r\ud800")
    shown.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def test_right_to_left_overrides_do_not_survive_in_headings():
    assert one_line("abc\u202edef\ngh") == "abc\ufffddef gh"
    assert one_line(" \n ") == "(no name)"


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("office-zh-en", ("zh", "en")),
        ("ja-en", ("ja", "en")),
        ("generated", None),
        ("office-xx-en", None),
        ("office-zho-eng", None),
    ],
)
def test_languages_come_from_the_tasks_name_where_it_tells(task, found):
    assert languages(task) == found
