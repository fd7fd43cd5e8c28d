"""A Debian archive with a help in three languages, and compiled catalogues."""

from __future__ import annotations

import shutil
import struct
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from zoo_tasks_text.corpora.debian import DebianCorpus
from zoo_tasks_text.corpora.options import DebianOptions

from zoo.tasks import DataHome, PreparedCorpus
from zoo.tasks.apt import Apt
from zoo.tasks.contracts import SPLITS
from zoo.testing.archive import Archive

EDITIONS = {"en-us": ("en-US", "en"), "zh-cn": ("zh-CN", "zh"), "ja": ("ja", "ja")}
NUMBERS = {
    "en": ["One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"],
    "zh": list("一二三四五六七八九十"),
    "ja": list("一二三四五六七八九十"),
}


def _sentence(language: str, document: int, paragraph: int) -> str:
    words = [NUMBERS[language][document // 10 % 10], NUMBERS[language][document % 10], NUMBERS[language][paragraph]]
    if language == "en":
        return f"Choose {words[0]} and {words[1]} before the item {words[2]} opens."
    if language == "zh":
        return f"请先选择{words[0]}与{words[1]}，然后打开项目{words[2]}。"
    return f"{words[0]}と{words[1]}を選択してから項目{words[2]}を開きます。"


def _page(language: str, document: int) -> str:
    body = "".join(
        f'<p id="par_{document}_{n}" class="paragraph">{_sentence(language, document, n)}</p>' for n in range(5)
    )
    return f'<html><body><div id="DisplayArea">{body}</div><div id="SearchFrame"></div></body></html>'


class HelpArchive(Archive):
    """An archive that may have LibreOffice's help."""

    def put_help(self, version: str = "4:7.4-1", documents: int = 100) -> None:
        """The three editions of a help whose pages each have five sentences of their own."""
        for edition, (folder, language) in EDITIONS.items():
            pages = {
                f"usr/share/libreoffice/help/{folder}/text/swriter/{document:02}.html": _page(language, document)
                for document in range(documents)
            }
            self.put(f"libreoffice-help-{edition}", version, pages)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HelpArchive:
    """An empty archive whose apt-get is the first on PATH; dpkg-deb is the real one."""
    return HelpArchive.at(tmp_path, monkeypatch)


MO_HEADER = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=1; plural=0;\n"


def _mo(messages: Mapping[str, str], *, header: str = MO_HEADER, order: str = "<", charset: str = "utf-8") -> bytes:
    entries = sorted((key.encode(charset), value.encode(charset)) for key, value in {"": header, **messages}.items())
    start = 28 + 16 * len(entries)
    body, tables = b"", []
    for side in (0, 1):
        for entry in entries:
            tables += [len(entry[side]), start + len(body)]
            body += entry[side] + b"\0"
    head = [0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, 28]
    return struct.pack(f"{order}{len(head) + len(tables)}I", *head, *tables) + body


@pytest.fixture(scope="session")
def mo() -> Callable[..., bytes]:
    """A compiled gettext catalogue of ``context\\4text`` or ``singular\\0plural`` -> translation; needs no msgfmt."""
    return _mo


@pytest.fixture
def real_debian(tmp_path: Path) -> Callable[[type[DebianCorpus]], PreparedCorpus]:
    """Prepares a corpus from the real archive, twice from scratch, and checks that its splits share nothing.

    Packages are fetched once: into the downloads of this machine's own data folder.
    """

    def prepared(corpus: type[DebianCorpus]) -> PreparedCorpus:
        packages = Apt(DataHome.default().downloads / "debian").fetch(corpus(DebianOptions()).packages)
        found = []
        for name in ("one", "two"):
            home = DataHome(tmp_path / name)
            place = home.downloads / "debian"
            place.mkdir(parents=True)
            for _, path in packages.values():
                shutil.copy(path, place / path.name)
            found.append(corpus(DebianOptions()).prepare(home))
        assert found[0].revision == found[1].revision
        for language in (*found[0].languages, None):
            seen: dict[str, str] = {}
            for split in SPLITS:
                for pair in found[0].pairs(split):
                    text = pair.document or "" if language is None else pair.texts[language]
                    key = "".join(unicodedata.normalize("NFKC", text).casefold().split())
                    assert seen.setdefault(key, split) == split, f"{text!r} stands in {seen[key]} and {split}"
        return found[0]

    return prepared
