"""The corpora of manuals."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from zoo_tasks_text.corpora import manuals
from zoo_tasks_text.corpora.blocks import Block
from zoo_tasks_text.corpora.manuals import (
    MANUALS,
    Edition,
    Manual,
    ManualsChinese,
    ManualsJapanese,
    documents,
    pairs_of,
)
from zoo_tasks_text.corpora.options import DebianOptions
from zoo_tasks_text.corpora.splits import comparison_key

from zoo.errors import ZooError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS

BOOK = Manual(
    "book",
    "GPL-2+ or MIT",
    Edition("book-doc", "./usr/share/book", ".en.html"),
    Edition("book-doc", "./usr/share/book", ".zh-cn.html"),
    Edition("book-doc-ja", "./usr/share/book/ja"),
)
WORDS = {
    "en": "red blue green white black grey pink gold",
    "zh": "红 蓝 绿 白 黑 灰 粉 金",
    "ja": "赤 青 緑 白 黒 灰 桃 金",
}


def _page(language: str, number: int) -> str:
    words = WORDS[language].split()
    first, second = words[number % 8], words[number // 8 % 8]
    text = {
        "en": f"Take the {first} door and the {second} one. Then close gate{number} behind you.",
        "zh": f"请走{first}门和{second}门。然后关上身后的 gate{number}。",
        "ja": f"{first}の扉と{second}の扉を通ります。それから gate{number} を閉じてください。",
    }[language]
    return f'<html><body class="toc2"><h1>1. {first}</h1><p>{text}</p><pre>ls {number}</pre></body></html>'


@pytest.fixture
def book(archive, monkeypatch):
    """An archive with one manual of 64 pages in three languages, in two packages."""
    monkeypatch.setattr(manuals, "MANUALS", (BOOK,))
    pages = range(64)
    english = {f"usr/share/book/p{n:02}.en.html": _page("en", n) for n in pages}
    chinese = {f"usr/share/book/p{n:02}.zh-cn.html": _page("zh", n) for n in pages}
    archive.put("book-doc", "1.0", {**english, **chinese})
    archive.put("book-doc-ja", "1.0", {f"usr/share/book/ja/p{n:02}.html": _page("ja", n) for n in pages})
    archive.mark("lists")
    return archive


@pytest.mark.parametrize(("corpus", "language"), [(ManualsChinese, "zh"), (ManualsJapanese, "ja")])
def test_a_corpus_is_built_from_packages(book, tmp_path, monkeypatch, corpus, language):
    monkeypatch.setattr(corpus, "share", 0.2)
    prepared = corpus(DebianOptions()).prepare(DataHome(tmp_path / "home"))
    found = [pair for split in SPLITS for pair in prepared.pairs(split)]
    assert prepared.languages == (language, "en")
    assert {(pair.domain, pair.licence) for pair in found} == {("book", "GPL-2+ or MIT")}
    assert {pair.document for pair in found} <= {f"book/p{n:02}" for n in range(64)}
    # Two sentences a page: the first is a page's own, the second differs by its number only and is kept once.
    assert sum(pair.texts["en"].startswith("Take the") for pair in found) >= 50
    assert not any(pair.texts["en"].startswith(("1", "ls ")) for pair in found)


def test_both_languages_have_the_same_documents_in_the_same_splits(book, tmp_path, monkeypatch):
    monkeypatch.setattr(manuals.ManualsCorpus, "share", 0.2)
    owners = []
    for corpus in (ManualsChinese, ManualsJapanese):
        prepared = corpus(DebianOptions()).prepare(DataHome(tmp_path))
        owners.append({pair.document: split for split in SPLITS for pair in prepared.pairs(split)})
    assert owners[0] == owners[1]


def test_a_package_that_the_archive_lacks_is_named(book, tmp_path):
    for file in book.folder.glob("book-doc-ja_*"):
        file.unlink()
    with pytest.raises(ZooError, match=r"manuals-ja-en cannot be fetched.*book-doc-ja"):
        ManualsJapanese(DebianOptions()).prepare(DataHome(tmp_path))


def test_a_package_of_another_layout_is_named(book, tmp_path):
    book.put("book-doc-ja", "2.0", {"usr/share/elsewhere/p.html": _page("ja", 1)})
    with pytest.raises(ZooError, match=r"book-doc-ja_2\.0_all\.deb has no pages below \./usr/share/book/ja"):
        ManualsJapanese(DebianOptions()).prepare(DataHome(tmp_path))


def test_a_page_gives_its_sentences_in_order():
    english = [Block("heading", "Doors"), Block("p", "Open\nthe door. Close it."), Block("p", "Untranslated text.")]
    chinese = [Block("heading", "门的使用"), Block("p", "打开\n这扇门。把它关上。"), Block("p", "Untranslated text.")]
    dropped: Counter[str] = Counter()
    pairs = list(pairs_of(BOOK, "p", english, chinese, "zh", dropped))
    assert [(pair.texts["en"], pair.texts["zh"], pair.order) for pair in pairs] == [
        ("Doors", "门的使用", 0),
        ("Open the door.", "打开这扇门。", 1),
        ("Close it.", "把它关上。", 2),
    ]
    assert +dropped == {"untranslated": 1}


def test_what_is_left_out_of_a_page_keeps_its_place_in_the_order():
    english = [Block("p", "Open the door."), Block("p", "Untranslated text."), Block("p", "Close the door.")]
    chinese = [Block("p", "打开这扇门。"), Block("p", "Untranslated text."), Block("p", "把它关上。")]
    extra = [*english[:2], Block("heading", "Only in English"), english[2]]
    for page, orders in ((english, [0, 2]), (extra, [0, 3])):
        pairs = list(pairs_of(BOOK, "p", page, chinese, "zh", Counter()))
        assert [(pair.texts["en"], pair.order) for pair in pairs] == list(
            zip(("Open the door.", "Close the door."), orders, strict=True)
        )


def test_a_long_page_is_cut_before_its_sections():
    blocks = [Block("heading", "Page", ("top",), level=1)]
    for section in ("a", "b", "c"):
        blocks.append(Block("heading", section, ("index", section), level=2))
        blocks += [Block("p", "Text.")] * 15
    # "a" begins after one block, "b" after 17: too early. "c" begins after 33.
    assert documents("book/p", blocks) == ["book/p"] * 33 + ["book/p#c"] * 16


def test_the_licence_of_the_whole_names_that_of_every_manual():
    assert all(manual.licence in ManualsChinese.licence for manual in MANUALS)
    assert len({manual.name for manual in MANUALS}) == len(MANUALS)


@pytest.mark.network
@pytest.mark.soak  # the other corpora of Debian's packages are prepared in the slow part
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the packages come through apt")
@pytest.mark.parametrize(("corpus", "least"), [(ManualsChinese, 25_000), (ManualsJapanese, 23_000)])
def test_the_real_packages(tmp_path: Path, corpus, least):
    prepared = corpus(DebianOptions()).prepare(DataHome(tmp_path / "home"))
    pairs = {split: prepared.pairs(split) for split in SPLITS}
    long = [pair for split in SPLITS for pair in pairs[split] if len(pair.texts["en"].split()) >= 4]
    print(f"{prepared.name}: {len(long)} pairs of four English words or more, {prepared.facts['pairs']}")
    assert len(long) >= least
    for split in ("dev", "test"):
        assert len(pairs[split]) >= 400
        assert len({pair.domain for pair in pairs[split]}) >= 6
    for what in (
        lambda pair: pair.document,
        lambda pair: comparison_key(pair.texts["en"]),
        lambda pair: comparison_key(pair.texts[corpus.language]),
    ):
        train, dev, test = ({what(pair) for pair in pairs[split]} for split in SPLITS)
        assert not train & dev
        assert not train & test
        assert not dev & test

    if corpus is ManualsJapanese:
        return  # its preparation takes a minute, and is that of the other
    again = DataHome(tmp_path / "again")
    shutil.copytree(tmp_path / "home" / "downloads", again.downloads, symlinks=True)
    assert corpus(DebianOptions()).prepare(again).revision == prepared.revision
