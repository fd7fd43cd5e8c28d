"""The corpora of Wesnoth's campaigns."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from zoo_tasks_text.corpora.messages import Message
from zoo_tasks_text.corpora.options import DebianOptions
from zoo_tasks_text.corpora.stories import (
    HELD_OUT,
    StoriesChinese,
    StoriesJapanese,
    align,
    campaign,
    places,
    without_prefix,
)
from zoo_tasks_text.corpora.wml import wml_strings

from zoo.errors import ZooError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS

ROOT = "usr/share/games/wesnoth/1.16"
SCENARIO = """#textdomain wesnoth-{short}
[scenario]
    name= _ "The {name} Road"
    [story]
        [part]
            story= _ "Long ago the {name} road was safe."
        [/part]
    [/story]
    [objectives]
        [objective]
            description= _ "Defeat the {name} leader"
        [/objective]
    [/objectives]
    [message]
        message= _ "Who guards the {name} road?"
    [/message]
    [message]
        message= _ "female^Nobody guards the {name} road."
    [/message]
[/scenario]
"""
CHINESE = {
    "The {name} Road": "{wide}之路",
    "Long ago the {name} road was safe.": "很久以前{wide}之路是安全的。",
    "Defeat the {name} leader": "击败{wide}首领",
    "Who guards the {name} road?": "谁守卫{wide}之路？",
    "female^Nobody guards the {name} road.": "没有人守卫{wide}之路。",
}
CAMPAIGNS = {
    "Liberty": ("l", "Long", "长"),
    "Dead_Water": ("dw", "Deep", "深"),
    "Secrets_of_the_Ancients": ("sota", "Old", "古"),
}


@pytest.mark.parametrize(
    ("text", "translation", "expected"),
    [
        ("female^Princess", "公主", ("Princess", "公主")),
        ("female^Princess", "female^公主", ("Princess", "公主")),
        ("teamname^Enemies", "队名^敌人", ("Enemies", "敌人")),
        ("editor^The “^Uf” terrain", "“^Uf”地形", ("The “^Uf” terrain", "“^Uf”地形")),
        ("No context", "没有^语境", ("No context", "没有^语境")),
    ],
)
def test_contexts_before_a_caret_are_left_out(text, translation, expected):
    assert without_prefix(text, translation) == expected


def test_the_domain_is_the_kind_of_text_and_the_order_that_of_the_file():
    source = SCENARIO.format(short="l", name="Long")
    found = places({"campaigns/Liberty/scenarios/01_Start.cfg": list(wml_strings(source))})
    messages = [Message(None, key.format(name="Long"), value.format(wide="长")) for key, value in CHINESE.items()]
    pairs = align({"wesnoth-l": sorted(messages, key=lambda message: message.text)}, found, "zh", Counter())
    assert [(pair.order, pair.domain, pair.texts["en"]) for pair in pairs] == [
        (0, "campaign", "The Long Road"),
        (1, "narration", "Long ago the Long road was safe."),
        (2, "objective", "Defeat the Long leader"),
        (3, "dialogue", "Who guards the Long road?"),
        (4, "dialogue", "Nobody guards the Long road."),
    ]
    assert {pair.document for pair in pairs} == {"campaigns/Liberty/scenarios/01_Start"}


def test_a_message_that_no_file_has_belongs_to_the_campaign_of_its_catalogue():
    found = places({"campaigns/Dead_Water/scenarios/1.cfg": list(wml_strings('#textdomain wesnoth-dw\nx= _ "Known"'))})
    messages = {
        "wesnoth-dw": [Message(None, "Made elsewhere.", "别处做的。")],
        "wesnoth": [Message(None, "Quit.", "退出。")],
    }
    pairs = align(messages, found, "zh", Counter())
    assert [campaign(pair.document or "") for pair in pairs] == ["Dead_Water", None]
    assert [pair.domain for pair in pairs] == ["campaign", "interface"]


def test_one_text_of_two_catalogues_has_two_places():
    first, second = (f'#textdomain wesnoth-{name}\n[message]\nmessage= _ "No!"' for name in "ab")
    found = places(
        {"campaigns/B/scenarios/1.cfg": list(wml_strings(second)), "campaigns/A/1.cfg": list(wml_strings(first))}
    )
    assert found[("wesnoth-a", "No!")].document == "campaigns/A/1"
    assert found[("wesnoth-b", "No!")].document == "campaigns/B/scenarios/1"


def put_stories(archive, mo):
    """Three campaigns of one scenario each; all that is not theirs is in the package of data."""
    data = {}
    for folder, (short, name, wide) in CAMPAIGNS.items():
        scenario = SCENARIO.format(short=short, name=name)
        messages = {key.format(name=name): value.format(wide=wide) for key, value in CHINESE.items()}
        data[f"{ROOT}/locale/zh_CN/LC_MESSAGES/wesnoth-{short}.mo"] = mo(messages)
        data[f"{ROOT}/locale/de/LC_MESSAGES/wesnoth-{short}.mo"] = b"not read"
        if short != "l":
            data[f"{ROOT}/data/campaigns/{folder}/scenarios/01.cfg"] = scenario
    archive.put("wesnoth-1.16-data", "1:1.16.9-1", data)
    for package in StoriesChinese(DebianOptions()).packages[1:]:
        folder = "Liberty" if package.endswith("-l") else package
        content = SCENARIO.format(short="l", name="Long") if package.endswith("-l") else ""
        archive.put(package, "1:1.16.9-1", {f"{ROOT}/data/campaigns/{folder}/scenarios/01.cfg": content})
    archive.mark("lists")


def test_campaigns_are_split_whole_and_twice_alike(archive, mo, tmp_path):
    put_stories(archive, mo)
    prepared = StoriesChinese(DebianOptions()).prepare(DataHome(tmp_path / "one"))
    found = {split: {campaign(pair.document or "") for pair in prepared.pairs(split)} for split in SPLITS}
    assert found == {"train": {"Liberty"}, "dev": {"Dead_Water"}, "test": {"Secrets_of_the_Ancients"}}
    assert [len(prepared.pairs(split)) for split in SPLITS] == [5, 5, 5]
    assert StoriesChinese(DebianOptions()).prepare(DataHome(tmp_path / "two")).revision == prepared.revision


def test_packages_without_the_language_are_an_error_that_says_so(archive, mo, tmp_path):
    put_stories(archive, mo)
    with pytest.raises(ZooError, match="no catalogues of ja .* layout has changed"):
        StoriesJapanese(DebianOptions()).prepare(DataHome(tmp_path))


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the packages come through apt")
@pytest.mark.parametrize(
    ("corpus", "least"), [(StoriesChinese, 18_500), pytest.param(StoriesJapanese, 16_500, marks=pytest.mark.soak)]
)
def test_the_real_packages(real_debian, corpus, least):
    prepared = real_debian(corpus)
    sizes = {split: sum(len(pair.texts["en"].split()) >= 4 for pair in prepared.pairs(split)) for split in SPLITS}
    assert sum(sizes.values()) >= least
    assert min(sizes["dev"], sizes["test"]) >= 600
    for split in SPLITS:
        campaigns = {campaign(pair.document or "") for pair in prepared.pairs(split)}
        if split == "train":
            assert len(campaigns - {None}) >= 13
            assert not campaigns & set(HELD_OUT)
        else:
            assert campaigns == {name for name, held in HELD_OUT.items() if held == split}
            assert sum(pair.domain == "dialogue" for pair in prepared.pairs(split)) >= 600
