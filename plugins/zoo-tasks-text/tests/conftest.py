"""A machine with a small Debian archive: packages built here, and an apt-get that serves them from a folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import subprocess
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from zoo_tasks_text.corpora.apt import Apt
from zoo_tasks_text.corpora.debian import DebianCorpus
from zoo_tasks_text.corpora.options import DebianOptions

from zoo.tasks import DataHome, PreparedCorpus
from zoo.tasks.contracts import SPLITS

# Speaks as much of apt-get as `zoo_tasks_text.corpora.apt` asks for. $ARCHIVE holds the packages, a file "lists" there
# stands for the machine's own lists, "old" holds the packages that these still name, "cut" is a network where nothing
# answers: an update then only warns, as that of Debian 12 does. "delay" makes a download slow: it grows in steps, as a
# real one does.
APT = """#!/bin/sh
set -eu
private=no verb= print=no names=
while [ $# -gt 0 ]; do
    case $1 in
        -o) shift ;;
        -c) private=yes; shift ;;
        -q) ;;
        --print-uris) print=yes ;;
        download|update) verb=$1 ;;
        *) names="$names $1" ;;
    esac
    shift
done
echo "$verb private=$private print=$print$names" >> "$ARCHIVE/log"
if [ -e "$ARCHIVE/offline" ] && [ $print = no ]; then echo "E: Failed to fetch: no route to the archive"; exit 100; fi
if [ $verb = update ]; then
    if [ -e "$ARCHIVE/cut" ]; then
        echo "Err:1 http://archive.test/debian bookworm InRelease"
        echo "W: Failed to fetch http://archive.test/debian/dists/bookworm/InRelease  Could not connect"
    else
        touch "$ARCHIVE/updated"
    fi
    exit 0
fi
lists=lists
if [ $private = yes ]; then lists=updated; fi
if [ ! -e "$ARCHIVE/$lists" ]; then echo "E: Unable to locate package$names"; exit 100; fi
if [ -e "$ARCHIVE/cut" ] && [ $print = no ]; then echo "E: Failed to fetch http://archive.test/x.deb"; exit 100; fi
if [ $private = no ] && [ -d "$ARCHIVE/old" ]; then ARCHIVE=$ARCHIVE/old; fi
for name in $names; do
    file=$(cd "$ARCHIVE" && ls "${name%%=*}"_*.deb)
    if [ $print = yes ]; then
        if [ -e "$file" ]; then continue; fi
        size=$(stat -c %s "$ARCHIVE/$file")
        echo "'file:/$file' $file $size SHA256:$(cat "$ARCHIVE/$file.sha256")"
        continue
    fi
    have=0
    if [ -e "$file" ]; then have=$(stat -c %s "$file"); fi
    echo "resume $have" >> "$ARCHIVE/log"
    if [ -e "$ARCHIVE/delay" ]; then
        size=$(stat -c %s "$ARCHIVE/$file")
        while [ "$have" -lt "$size" ]; do
            tail -c +$((have + 1)) "$ARCHIVE/$file" | head -c $((size / 4 + 1)) >> "$file"
            have=$(stat -c %s "$file")
            sleep "$(cat "$ARCHIVE/delay")"
        done
    else
        tail -c +$((have + 1)) "$ARCHIVE/$file" >> "$file"
    fi
done
"""

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


@dataclass
class Archive:
    """The archive's folder, the environment of a machine that has it, and what its apt-get was asked."""

    folder: Path
    environment: dict[str, str]

    def put(
        self, package: str, version: str, files: Mapping[str, str | bytes], links: dict[str, str] | None = None
    ) -> Path:
        """Build a .deb of `files` (path -> content) and replace the package's older version."""
        for old in self.folder.glob(f"{package}_*"):
            old.unlink()
        tree = self.folder / "tree"
        for name, content in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        for name, target in (links or {}).items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).symlink_to(target)
        control = tree / "DEBIAN" / "control"
        control.parent.mkdir(parents=True)
        control.write_text(
            f"Package: {package}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <t@example.org>\n"
            "Description: made by a test\n"
        )
        script = tree / "DEBIAN" / "postinst"
        script.write_text(f"#!/bin/sh\ntouch '{self.folder}/postinst-ran'\n")
        script.chmod(0o755)
        deb = self.folder / f"{package}_{version.replace(':', '%3a')}_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-b", tree, deb], check=True, capture_output=True)
        shutil.rmtree(tree)
        Path(f"{deb}.sha256").write_text(hashlib.sha256(deb.read_bytes()).hexdigest())
        return deb

    def put_help(self, version: str = "4:7.4-1", documents: int = 100) -> None:
        """The three editions of a help whose pages each have five sentences of their own."""
        for edition, (folder, language) in EDITIONS.items():
            pages = {
                f"usr/share/libreoffice/help/{folder}/text/swriter/{document:02}.html": _page(language, document)
                for document in range(documents)
            }
            self.put(f"libreoffice-help-{edition}", version, pages)

    def log(self) -> list[str]:
        """The calls so far, one a line."""
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def mark(self, name: str, text: str = "") -> None:
        """Change the machine: 'lists', 'offline', 'cut' or 'delay'."""
        (self.folder / name).write_text(text)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An empty archive whose apt-get is the first on PATH; dpkg-deb is the real one."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("needs dpkg-deb")
    folder, binaries = tmp_path / "archive", tmp_path / "bin"
    folder.mkdir()
    binaries.mkdir()
    (binaries / "apt-get").write_text(APT)
    (binaries / "apt-get").chmod(stat.S_IRWXU)
    environment = {"PATH": f"{binaries}:{os.environ['PATH']}", "ARCHIVE": str(folder)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Archive(folder, {**os.environ, **environment})


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
