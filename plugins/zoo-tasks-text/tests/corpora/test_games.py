"""The corpora of Cataclysm's messages."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections import Counter

import pytest
from zoo_tasks_text.corpora.games import GamesChinese, GamesJapanese, Place, align, places
from zoo_tasks_text.corpora.messages import Message
from zoo_tasks_text.corpora.options import DebianOptions

from zoo.errors import ZooError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS

DATA = "usr/share/games/cataclysm-dda"
NUMBERS = {
    "en": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "zh": "零一二三四五六七八九",
    "ja": "〇一二三四五六七八九",
}


def test_messages_are_placed_by_the_first_file_that_has_their_text():
    files = {
        "b.json": json.dumps(
            [{"type": "MONSTER", "id": "mon_rat", "name": "rat", "description": "A small rat."}]
        ).encode(),
        "a/talk.json": json.dumps(
            [
                {"type": "talk_topic", "dynamic_line": "Hello.", "responses": [{"text": "Bye.", "topic": "T_DONE"}]},
                {"type": "talk_topic", "dynamic_line": [{"no": "Who is it?"}, "A small rat."]},
            ]
        ).encode(),
    }
    found = places(files)
    assert found["Hello."] == Place("a/talk", 0, "talk_topic")
    assert found["A small rat."].document == "a/talk"
    assert found["rat"] == Place("b", 0, "monster")
    said = sorted((place.order, text) for text, place in found.items() if place.document == "a/talk")
    assert [text for _, text in said] == ["Hello.", "Bye.", "T_DONE", "Who is it?", "A small rat."]
    # An id is no place of a message that happens to be spelled like it.
    assert "mon_rat" not in found


def test_what_is_no_json_is_named():
    with pytest.raises(ZooError, match="bad.json is no JSON"):
        places({"bad.json": b"[{]"})


def test_pairs_follow_the_file_and_the_rest_is_interface():
    found = {"First it rains.": Place("talk", 0, "talk_topic"), "Then it snows.": Place("talk", 1, "talk_topic")}
    messages = [
        Message(None, "Save the game? Yes or no.", "保存游戏吗？是或否。"),
        Message(None, "Then it snows.", "然后下雪。"),
        Message(None, "First it rains.", "先下雨。"),
        Message(None, "Untranslated one.", "Untranslated one."),
    ]
    dropped: Counter[str] = Counter()
    pairs = align(messages, found, "zh", dropped)
    assert [(pair.domain, pair.order, pair.texts["en"]) for pair in pairs] == [
        ("interface", 0, "Save the game?"),
        ("interface", 1, "Yes or no."),
        ("talk_topic", 0, "First it rains."),
        ("talk_topic", 1, "Then it snows."),
    ]
    assert pairs[0].document == pairs[1].document != None  # noqa: E711
    assert {pair.document for pair in pairs[2:]} == {"talk"}
    assert dropped == {"untranslated": 1}


def test_what_is_left_out_of_a_file_keeps_its_place_in_the_order():
    texts = ["It rains. Untranslated one. It stops.", "XYZ", "It snows."]
    translations = ["下雨了。Untranslated one。雨停了。", "XYZ", "下雪了。"]
    found = {text: Place("talk", order, "talk_topic") for order, text in enumerate(texts)}
    messages = [Message(None, *both) for both in zip(texts, translations, strict=True)]
    pairs = align(messages, found, "zh", Counter())
    assert [(pair.order, pair.texts["en"]) for pair in pairs] == [(0, "It rains."), (2, "It stops."), (4, "It snows.")]


def test_a_message_of_the_program_has_the_same_document_in_all_languages():
    chinese = align([Message(None, "Save it.", "保存。")], {}, "zh", Counter())
    japanese = align([Message(None, "Save it.", "保存する。")], {}, "ja", Counter())
    assert chinese[0].document == japanese[0].document


# Dies at the stage that is named, by a signal that nothing can catch.
KILLED = """
import os, signal, sys
from zoo_tasks_text.corpora import debian, games, prepared
from zoo_tasks_text.corpora.options import DebianOptions
from zoo.tasks import DataHome

def die(*arguments, **more):
    os.kill(os.getpid(), signal.SIGKILL)

def progress(stage, done, total):
    if sys.argv[1] == "download" and stage == "download" and 0 < done < total:
        die()

where = {"read": (games, "align"), "separate": (debian, "separated"), "store": (prepared, "revision_of"),
         "rename": (prepared.os, "replace")}
if sys.argv[1] in where:
    setattr(*where[sys.argv[1]], die)
games.GamesChinese(DebianOptions()).prepare(DataHome.default(), progress)
"""


def put_game(archive, mo, version="0.F-3-9"):
    """120 files of talk, four lines each, and the catalogues of both languages."""
    files, translations = {}, {"zh_CN": {}, "ja": {}}
    for number in range(120):
        words = {language: [NUMBERS[language][int(digit)] for digit in f"{number:03}"] for language in NUMBERS}
        lines = []
        for line in range(4):
            english = f"Rat {' '.join(words['en'])} said {NUMBERS['en'][line]} to <npcname>."
            translations["zh_CN"][english] = f"老鼠{''.join(words['zh'])}对<npcname>说了{NUMBERS['zh'][line]}。"
            translations["ja"][english] = f"ねずみ{''.join(words['ja'])}は<npcname>に{NUMBERS['ja'][line]}と言った。"
            lines.append({"text": english})
        files[f"{DATA}/json/talk_{number:03}.json"] = json.dumps([{"type": "talk_topic", "responses": lines}])
    for locale, messages in translations.items():
        files[f"usr/share/locale/{locale}/LC_MESSAGES/cataclysm-dda.mo"] = mo(messages)
    archive.put("cataclysm-dda-data", version, files)
    archive.mark("lists")


def test_the_corpora_are_built_from_the_package_twice_alike_and_split_alike(archive, mo, tmp_path):
    put_game(archive, mo)
    owners = []
    for corpus in (GamesChinese, GamesJapanese):
        first = corpus(DebianOptions()).prepare(DataHome(tmp_path / "one"))
        assert corpus(DebianOptions()).prepare(DataHome(tmp_path / "two")).revision == first.revision
        assert sum(len(first.pairs(split)) for split in SPLITS) == 480
        assert first.licence == "CC-BY-SA-3.0"
        assert first.facts["packages"] == {"cataclysm-dda-data": "0.F-3-9"}
        owners.append({pair.document: split for split in SPLITS for pair in first.pairs(split)})
        for split in SPLITS:
            for pair in first.pairs(split):
                assert pair.domain == "talk_topic"
                assert pair.texts["en"].split()[5] == NUMBERS["en"][pair.order]
    assert owners[0] == owners[1]
    assert len(owners[0]) == 120


def test_killed_at_any_stage_the_next_run_gives_the_same_corpus(archive, mo, tmp_path):
    """At each progress report, as the base of all families makes them: while it downloads, reads and writes."""
    put_game(archive, mo)
    expected = GamesChinese(DebianOptions()).prepare(DataHome(tmp_path / "undisturbed")).revision
    home = DataHome(tmp_path / "home")
    environment = {**archive.environment, "ZOO_HOME": str(home.root)}
    stages = []
    for stage in ("download", "read", "separate", "store", "rename"):
        # Slow enough for the progress of a download to be told while it lasts.
        archive.mark("delay", "0.2" if stage == "download" else "0")
        ended = subprocess.run([sys.executable, "-c", KILLED, stage], env=environment, check=False)
        if ended.returncode == -signal.SIGKILL:
            stages.append(stage)
        assert GamesChinese(DebianOptions()).find(home) is None
    assert stages == ["download", "read", "separate", "store", "rename"]
    assert GamesChinese(DebianOptions()).prepare(home).revision == expected
    assert not list((home.corpora / "games-zh-en").glob(".tmp-*"))


def test_a_package_without_the_catalogue_is_an_error_that_says_so(archive, mo, tmp_path):
    archive.put("cataclysm-dda-data", "1", {f"{DATA}/json/a.json": "[]"})
    archive.mark("lists")
    with pytest.raises(ZooError, match=r"lacks locale/ja/LC_MESSAGES/cataclysm-dda\.mo .* layout has changed"):
        GamesJapanese(DebianOptions()).prepare(DataHome(tmp_path))


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the package comes through apt")
@pytest.mark.parametrize(
    ("corpus", "least"), [(GamesChinese, 37_000), pytest.param(GamesJapanese, 36_000, marks=pytest.mark.soak)]
)
def test_the_real_package(real_debian, corpus, least):
    prepared = real_debian(corpus)
    sizes = {split: sum(len(pair.texts["en"].split()) >= 4 for pair in prepared.pairs(split)) for split in SPLITS}
    assert sum(sizes.values()) >= least
    assert min(sizes["dev"], sizes["test"]) >= 500
    domains = Counter(pair.domain for pair in prepared.pairs("train"))
    assert all(domains[name] >= 1000 for name in ("talk_topic", "snippet", "monster", "mission_definition", "book"))
    assert 0.1 < domains["interface"] / domains.total() < 0.25
