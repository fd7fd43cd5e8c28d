"""Cleaning of aligned text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.corpora.cleaning import aligned_sentences, clean, reason_to_drop, script_fits, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  a \n\t b ", "a b"),
        ("文字\n      换行", "文字换行"),
        ("在 Python 和\n Basic 之间", "在 Python 和 Basic 之间"),
        ("ファイル\nを開く", "ファイルを開く"),
        ("soft\u00adhyphen\u200b\ufeff", "softhyphen"),
        ("e\u0301", "é"),
        ("\u3000全角　空白", "全角空白"),
    ],
)
def test_clean(text, expected):
    assert clean(text) == expected


@given(st.text())
def test_cleaning_twice_changes_nothing(text):
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("english", "other", "language", "reason"),
    [
        ("Opens a dialog.", "打开对话框。", "zh", None),
        ("Opens a dialog.", "ダイアログを開きます。", "ja", None),
        ("Shortcut keys of LibreOffice Writer", "LibreOffice Writer 的快捷键", "zh", None),
        ("", "打开", "zh", "empty"),
        ("=", "等号", "zh", "too short"),
        ("Opens a dialog.", "Opens a dialog.", "zh", "untranslated"),
        ("Opens a dialog.", "opens a  dialog.", "ja", "untranslated"),
        ("Opens a dialog.", "Abre un diálogo.", "zh", "wrong script"),
        ("打开 Open", "打开", "zh", "wrong script"),
        ("Opens a dialog.", "ダイアログを開きます。", "zh", "wrong script"),
        ("Start $[officename] now", "立即启动 $[officename]", "zh", "placeholder or markup"),
        ("Open a", "打开" * 40, "zh", "length ratio"),
        ("x" * 1001, "字" * 300, "zh", "too long"),
        ("Returns 5 as result", "返回 9 作为结果", "zh", "other numbers"),
    ],
)
def test_reasons_to_drop(english, other, language, reason):
    assert reason_to_drop(english, other, language) == reason


def test_full_width_digits_are_the_same_numbers():
    assert reason_to_drop("Statistical functions, part 3", "統計関数その３", "ja") is None


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("One. Two? Three!", "en", ["One.", "Two?", "Three!"]),
        ("Use a file, e.g. A report. Then save.", "en", ["Use a file, e.g. A report.", "Then save."]),
        ("Version 7.4 is here. See Fig. 3.", "en", ["Version 7.4 is here.", "See Fig. 3."]),
        ('He said "Stop." Then he left.', "en", ['He said "Stop."', "Then he left."]),
        ("第一句。第二句！第三句？", "zh", ["第一句。", "第二句！", "第三句？"]),
        ("他说「停。」然后走了。", "zh", ["他说「停。」", "然后走了。"]),
    ],
)
def test_sentences(text, language, expected):
    assert sentences(text, language) == expected


def test_equal_numbers_of_sentences_are_paired():
    english, chinese = "It opens a file. Then it closes it.", "它打开一个文件。然后将其关闭。"
    assert aligned_sentences(english, chinese, "zh") == [
        ("It opens a file.", "它打开一个文件。"),
        ("Then it closes it.", "然后将其关闭。"),
    ]


def test_unequal_numbers_of_sentences_stay_one_pair():
    english, chinese = "It opens a file. Then it closes it.", "它打开一个文件，然后将其关闭。"
    assert aligned_sentences(english, chinese, "zh") == [(english, chinese)]


def test_sentences_of_ill_fitting_lengths_stay_one_pair():
    english = "No. This long sentence tells how the whole dialog is used from its beginning to its very end."
    chinese = "这个长句从头到尾说明了整个对话框的使用方法以及各个选项的含义。好的。"
    assert aligned_sentences(english, chinese, "zh") == [(english, chinese)]


def test_scripts():
    assert script_fits("漢字", "ja")
    assert not script_fits("ひらがな", "zh")
    assert not script_fits("123", "en")
