"""The corpora of programs' messages."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from zoo_tasks_text.corpora.interfaces import (
    PROGRAMS,
    InterfacesChinese,
    InterfacesJapanese,
    Program,
    message_pairs,
)
from zoo_tasks_text.corpora.options import DebianOptions
from zoo_tasks_text.corpora.splits import comparison_key

from zoo.errors import ZooError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS

NOUNS = ["file", "page", "table", "window", "colour", "letter", "number", "image", "server", "printer"]
ZH = ["文件", "页面", "表格", "窗口", "颜色", "字母", "数字", "图像", "服务器", "打印机"]
JA = ["ファイル", "ページ", "表", "ウィンドウ", "色", "文字", "数値", "画像", "サーバー", "プリンター"]
PROGRAM = Program("some", "some-data", "GPL-2+", marks="_")
FOLDERS = {
    "blender": "usr/share/locale/{}/LC_MESSAGES/blender.mo",
    "freeciv": "usr/share/locale/{}/LC_MESSAGES/freeciv-core.mo",
    "gcc": "usr/share/locale/{}/LC_MESSAGES/gcc-12.mo",
    "postgresql": "usr/share/locale/{}/LC_MESSAGES/postgres-15.mo",
    "libreoffice": "usr/lib/libreoffice/program/resource/{}/LC_MESSAGES/sw.mo",
}


def sentences(domain: str) -> dict[str, tuple[str, str, str]]:
    """Messages of a program in English, Chinese and Japanese; 100 of them."""
    return {
        f"{a}{b}": (
            f"The {NOUNS[a]} of this {NOUNS[b]} in {domain} is not ready",
            f"{domain} 中{ZH[b]}的{ZH[a]}尚未准备就绪",
            f"{domain} の{JA[b]}の{JA[a]}はまだ準備ができていません",
        )
        for a in range(10)
        for b in range(10)
    }


@pytest.fixture
def programs(archive, mo, pack):
    """An archive that has all programs, each with 100 messages."""
    archive.mark("lists")
    for program in PROGRAMS:
        texts = list(sentences(program.domain).values())
        if program.domain == "chromium":
            folder = "usr/lib/chromium/locales"
            packs = {
                f"{folder}/{name}.pak": pack({number: text[side].encode() for number, text in enumerate(texts)})
                for side, name in enumerate(("en-GB", "zh-CN", "ja"))
            }
            archive.put("chromium-l10n", "1.0", packs)
            continue
        catalogues = {
            FOLDERS[program.domain].format(locale): mo({text[0]: text[side] for text in texts})
            for side, locale in ((1, "zh_CN"), (2, "ja"))
        }
        for name in {program.package.format("zh-cn"), program.package.format("ja")}:
            archive.put(name, "1.0", catalogues)
    return archive


@pytest.mark.parametrize(("corpus", "side"), [(InterfacesChinese, 1), (InterfacesJapanese, 2)])
def test_a_corpus_has_the_messages_of_all_programs(programs, tmp_path, corpus, side):
    prepared = corpus(DebianOptions()).prepare(DataHome(tmp_path / "home"))
    found = {(pair.texts["en"], pair.texts[corpus.language]) for split in SPLITS for pair in prepared.pairs(split)}
    assert found == {(text[0], text[side]) for program in PROGRAMS for text in sentences(program.domain).values()}
    pairs = [pair for split in SPLITS for pair in prepared.pairs(split)]
    assert {(pair.domain, pair.licence) for pair in pairs} == {(item.domain, item.licence) for item in PROGRAMS}
    assert {pair.document for pair in pairs} == {None}
    assert prepared.facts["documents"] == 0
    assert prepared.licence == "BSD-3-Clause and GPL-2+ and GPL-3+ and MPL-2.0 and PostgreSQL"


def test_both_languages_deal_the_english_messages_alike(programs, tmp_path):
    dealt = []
    for corpus in (InterfacesChinese, InterfacesJapanese):
        prepared = corpus(DebianOptions()).prepare(DataHome(tmp_path / "home"))
        dealt.append({pair.texts["en"]: split for split in SPLITS for pair in prepared.pairs(split)})
    assert dealt[0] == dealt[1]


def test_building_again_gives_the_same_revision(programs, tmp_path):
    first, second = (
        InterfacesChinese(DebianOptions()).prepare(DataHome(tmp_path / name)).revision for name in ("one", "two")
    )
    assert first == second
    # The packages are there by now; the same ones give the same corpus.
    assert InterfacesChinese(DebianOptions()).refresh(DataHome(tmp_path / "one")).revision == first


def test_a_package_without_the_language_is_one_clear_line(programs, mo, tmp_path):
    programs.put("blender-data", "1.1", {"usr/share/locale/de/LC_MESSAGES/blender.mo": mo({"Open": "Öffnen"})})
    with pytest.raises(ZooError, match=r"blender-data_1\.1_all\.deb has no messages in zh_CN") as caught:
        InterfacesChinese(DebianOptions()).prepare(DataHome(tmp_path / "home"))
    assert "\n" not in str(caught.value)


def pairs_of(english: str, other: str, program: Program = PROGRAM) -> tuple[list[tuple[str, str]], dict[str, int]]:
    dropped: Counter[str] = Counter()
    return list(message_pairs(english, other, program, "zh", dropped)), dict(dropped)


def test_a_message_is_cleaned_and_cut_into_sentences():
    english = "The file was not saved. Try it again..."
    assert pairs_of(english, "文件没有\n  保存。再试一次...") == (
        [("The file was not saved.", "文件没有保存。"), ("Try it again", "再试一次")],
        {},
    )


def test_what_is_no_pair_is_counted():
    assert pairs_of("Open %s now", "现在打开") == ([], {"other placeholders": 1})
    assert pairs_of("...", "……") == ([], {"no words": 1})


@pytest.mark.parametrize(
    ("domain", "english", "other", "expected"),
    [
        ("libreoffice", "Start %PRODUCTNAME now", "启动 %PRODUCTNAME", ("Start LibreOffice now", "启动 LibreOffice")),
        ("libreoffice", "~Save as", "另存为(~S)", ("Save as", "另存为")),
        ("gcc", "bad %<extern%> in %qD", "%2$qD 中错误的%<extern%>", None),
        ("gcc", "bad %<extern%> in %qD", "%qD 中错误的%<extern%>", ("bad ‘extern’ in %qD", "%qD 中错误的‘extern’")),
        ("freeciv", "?plural:Romans", "罗马人", ("Romans", "罗马人")),
        ("chromium", "Save && I&nspect", "保存和检查(&N)", ("Save & Inspect", "保存和检查")),
        ("postgresql", "set &name of _file", "设置 _file 的 &name", ("set &name of _file", "设置 _file 的 &name")),
    ],
)
def test_each_program_has_its_own_signs(domain, english, other, expected):
    (program,) = (item for item in PROGRAMS if item.domain == domain)
    assert pairs_of(english, other, program)[0] == ([] if expected is None else [expected])


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the packages come through apt")
@pytest.mark.parametrize("corpus", [InterfacesChinese, pytest.param(InterfacesJapanese, marks=pytest.mark.soak)])
def test_the_real_packages(tmp_path, corpus):
    prepared = corpus(DebianOptions()).prepare(DataHome(tmp_path))
    pairs = {split: prepared.pairs(split) for split in SPLITS}
    assert 300 <= len(pairs["dev"]) <= 1000
    assert 300 <= len(pairs["test"]) <= 1000
    long = sum(len(pair.texts["en"].split()) >= 4 for split in SPLITS for pair in pairs[split])
    print(f"{prepared.name}: {long} pairs of 4 English words or more")
    assert long >= 38_000
    for language in prepared.languages:
        sides = {split: {comparison_key(pair.texts[language]) for pair in pairs[split]} for split in SPLITS}
        assert not sides["train"] & sides["dev"]
        assert not sides["train"] & sides["test"]
        assert not sides["dev"] & sides["test"]
