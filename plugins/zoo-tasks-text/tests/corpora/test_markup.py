"""Sentence pairs from messages with markup."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_tasks_text.corpora.markup import placeholders, plain, sentence_pairs


def pairs(english: str, chinese: str) -> list[tuple[str, str]]:
    return list(sentence_pairs(english, chinese, "zh", Counter()))


def reasons(english: str, chinese: str) -> dict[str, int]:
    dropped: Counter[str] = Counter()
    assert list(sentence_pairs(english, chinese, "zh", dropped)) == []
    return dict(dropped)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<color_light_red>Danger</color> ahead", "Danger ahead"),
        ("<color_%s>Danger</color>", "Danger"),
        ("<span color='green'>Farms</span> <i>grow</i>", "Farms grow"),
        ("See <ref>dst='..traits' text='traits'</ref>.", "See traits."),
        ("See <ref>text='a \\'b\\'' dst='x'</ref>.", "See a 'b'."),
        ("<header>text=Terrain</header>", "Terrain"),
        ("<img>src='terrain/green.png~O(0.5)' align=left</img>A village", "A village"),
        ("<italic>old</italic> lore", "old lore"),
        ("Midlands &amp; Oldwood", "Midlands & Oldwood"),
        ("&You see nothing.", "You see nothing."),
        ("H&K and S&W", "H&K and S&W"),
        ("Change [b]attery", "Change battery"),
        ("The <npcname> uses %1$s", "The <npcname> uses %1$s"),
    ],
)
def test_formatting_is_taken_off_and_nothing_else(text, expected):
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%s hits %2$d with %.1f%%", ["%s", "%2$d", "%.1f"]),
        ("50% of damage, 100%", []),
        ("$unit.name| leaves, $nick stays", ["$unit.name", "$nick"]),
        ("$player_$side_number|.farming.gold gold", ["$player_$side_number|.farming.gold"]),
        ("$name离开了", ["$name"]),
        ("<npcname> and <name_g> and {0}", ["<npcname>", "<name_g>", "{0}"]),
        ("costs $5", []),
    ],
)
def test_placeholders(text, expected):
    assert placeholders(text) == Counter(expected)


def test_placeholders_stay_where_both_sides_have_the_same():
    assert pairs("The %1$s hits <npcname>!", "%1$s击中了<npcname>！") == [
        ("The %1$s hits <npcname>!", "%1$s击中了<npcname>！")
    ]
    assert reasons("You hear a beep.", "你听见 %d 声警报。") == {"other placeholders": 1}
    assert reasons("%s sees %s here.", "这里看见了 %s。") == {"other placeholders": 1}


def test_a_doubled_percent_sign_is_one():
    assert pairs("A chance of %d%% remains.", "剩下%d%%的机会。") == [("A chance of %d% remains.", "剩下%d%的机会。")]


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("<R>eset the game", "<R>重置游戏"),
        ("<A|a>utopickup is on", "<A|a>自动拾取已开启"),
        ("main={prefix}{suffix}|{prefix} name", "main={prefix}{suffix}|{prefix} 名字"),
        ("prefix=Al|Ali|Ash of names", "prefix=艾尔|艾莉|艾希"),
        ("Bal,Cam,Corn,Del,Earl,El,Fox", "巴尔,卡姆,科恩,德尔,伊艾尔,艾尔,福克斯"),
        ("A terrain \\o/ of fungus", "一种真菌地形 \\o/"),
    ],
)
def test_what_is_left_of_markup_drops_the_pair(english, chinese):
    assert reasons(english, chinese) == {"placeholder or markup": 1}


def test_paragraphs_lines_and_sentences_are_paired():
    english = "It is dark.  Light a lamp.\n\n* Take the sword\n* Take the shield"
    chinese = "天黑了。点上灯。\n\n* 拿起那把剑\n* 拿起那面盾"
    assert pairs(english, chinese) == [
        ("It is dark.", "天黑了。"),
        ("Light a lamp.", "点上灯。"),
        ("Take the sword", "拿起那把剑"),
        ("Take the shield", "拿起那面盾"),
    ]


def test_the_lines_of_one_sentence_stay_together():
    english, chinese = "He took the sword\nand left the hall.", "他拿起了剑，\n离开了大厅。"
    assert pairs(english, chinese) == [("He took the sword and left the hall.", "他拿起了剑，离开了大厅。")]


def test_unequal_paragraphs_stay_one_pair():
    english, chinese = "It is dark here\n\nLight the lamp now", "这里很黑，请点上灯"
    assert pairs(english, chinese) == [("It is dark here Light the lamp now", chinese)]


def test_sentences_whose_placeholders_moved_stay_one_pair():
    english, chinese = "Your %s broke. It is gone.", "坏掉了。你的%s没有了。"
    assert pairs(english, chinese) == [(english, chinese)]


def test_what_translators_add_in_brackets_is_left_out():
    assert pairs("Want to travel with me?", "[组队]与我同行吧？") == [("Want to travel with me?", "与我同行吧？")]
    assert pairs("an anguished wail!", "[痛苦的哀号]") == [("an anguished wail!", "痛苦的哀号")]
    assert pairs("[BARTER] Let me see it.", "[交易]让我看看。") == [("[BARTER] Let me see it.", "[交易]让我看看。")]


pieces = st.sampled_from(
    ["The orc", " falls. ", "%s", "<npcname>", "<color_red>", "</color>", "\n", "\n\n", "兽人", "倒下。"]
)
texts = st.lists(pieces, max_size=12).map("".join)


@given(texts, texts)
def test_no_pair_has_a_line_feed_or_formatting_or_other_placeholders(english, other):
    for left, right in pairs(english, other):
        assert placeholders(left) == placeholders(right)
        for side in (left, right):
            assert side == side.strip() != ""
            assert "\n" not in side
            assert "color" not in side
