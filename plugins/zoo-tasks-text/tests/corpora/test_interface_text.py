"""Keyboard marks, ellipses and placeholders of messages."""

from __future__ import annotations

import pytest
from zoo_tasks_text.corpora.interface_text import (
    PLACEHOLDER,
    blocks,
    numbered,
    reason_to_drop_message,
    without_ellipsis,
    without_marks,
)


@pytest.mark.parametrize(
    ("mark", "english", "other", "expected"),
    [
        ("_", "_Open", "打开(_O)", ("Open", "打开")),
        ("_", "E_xit", "退出(_X)", ("Exit", "退出")),
        ("_", "E_xit:", "終了 （_X）:", ("Exit:", "終了:")),
        ("_", "_Open", "打开", ("Open", "打开")),
        ("_", "_Open PDF", "_PDF を開く", ("Open PDF", "PDF を開く")),
        ("_", "Fit _height", "适应高度(_F)", ("Fit height", "适应高度")),
        ("~", "T~ext", "文字(~E)", ("Text", "文字")),
        ("~", "about ~ 5", "约 ~ 5", ("about ~ 5", "约 ~ 5")),
        ("&", "I&nspect", "検証", ("Inspect", "検証")),
        ("&", "R&D", "研发", ("R&D", "研发")),
        ("&", "Save && close", "保存并关闭", ("Save && close", "保存并关闭")),
        ("_", "set MY_VALUE", "设置 MY_VALUE", ("set MY_VALUE", "设置 MY_VALUE")),
    ],
)
def test_keyboard_marks_go_and_other_signs_stay(mark, english, other, expected):
    assert without_marks(english, other, mark) == expected


@pytest.mark.parametrize("text", ["Open...", "Open…", "Open ..."])
def test_the_dots_of_a_dialogue_go(text):
    assert without_ellipsis(text) == "Open"


def test_dots_within_a_text_stay():
    assert without_ellipsis("Number 1, ... are added.") == "Number 1, ... are added."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%s of %1$s: %-5.2f, %lu %zu", ["%s", "%1$s", "%-5.2f", "%lu", "%zu"]),
        ("%qD is not %q+#T", ["%qD", "%q+#T"]),
        ("Column %COLUMNNUMBER, %1 by %2", ["%COLUMNNUMBER", "%1", "%2"]),
        ("$1 in {0} and ${name} of $(ARG1)", ["$1", "{0}", "${name}", "$(ARG1)"]),
        ("100% of 5 $", []),
    ],
)
def test_placeholders_of_all_programs_are_found(text, found):
    assert PLACEHOLDER.findall(text) == found


def test_english_is_numbered_where_the_translation_moves_its_arguments():
    assert numbered("%s of %s (%d%%)", "%2$s 的 %1$s（%3$d%%）") == "%1$s of %2$s (%3$d%%)"


def test_english_is_left_alone_where_nothing_moves():
    assert numbered("%s of %s", "%s 的 %s") == "%s of %s"


def test_a_message_is_cut_at_empty_lines_rules_and_list_entries_alike_on_both_sides():
    english = "Title\n======\nOne line\ngoes on.\n\n* first\n* second"
    other = "标题\n====\n一行\n继续。\n\n* 甲\n* 乙"
    assert blocks(english, other) == [
        ("Title", "标题"),
        ("One line\ngoes on.", "一行\n继续。"),
        ("first", "甲"),
        ("second", "乙"),
    ]


def test_a_message_of_unlike_blocks_stays_whole():
    assert blocks("One.\n\nTwo.", "一和二。") == [("One.\n\nTwo.", "一和二。")]


@pytest.mark.parametrize(
    ("english", "other", "reason"),
    [
        ("could not open %s", "无法打开 %s", None),
        ("could not open %s", "无法打开", "other placeholders"),
        ("%s and %s", "%s 和 %d", "other placeholders"),
        ("%s: %d", "%s：%d", "no words"),
        ("%s %PRODUCTVERSION", "%s %PRODUCTVERSION", "no words"),
        ("x: %s", "甲：%s", "too short"),
        ("Open the %1", "Open the %1", "untranslated"),
        (
            "{count, plural, =1 {one file} other {# files}}",
            "{count, plural, other {# 个文件}}",
            "plural forms in one message",
        ),
        ("Open <b>this</b> file", "打开<b>此</b>文件", "placeholder or markup"),
    ],
)
def test_messages_are_judged_by_their_words_and_placeholders(english, other, reason):
    assert reason_to_drop_message(english, other, "zh") == reason
