"""A machine with a small Debian archive: packages built on the spot, and an apt-get that serves them from a folder.

For tests of what is built from packages (`zoo.tasks.apt`): neither the network nor the machine's own lists are used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

# Speaks as much of apt-get as `zoo.tasks.apt` asks for. $ARCHIVE holds the packages, a file "lists" there
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


@dataclass
class Archive:
    """The archive's folder, the environment of a machine that has it, and what its apt-get was asked."""

    folder: Path
    environment: dict[str, str]

    def put(
        self, package: str, version: str, files: Mapping[str, str | bytes], links: Mapping[str, str] | None = None
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

    def log(self) -> list[str]:
        """The calls so far, one a line."""
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def mark(self, name: str, text: str = "") -> None:
        """Change the machine: 'lists', 'offline', 'cut' or 'delay'."""
        (self.folder / name).write_text(text)

    @classmethod
    def at(cls, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Self:
        """An empty archive below `folder` whose apt-get is the first on PATH; dpkg-deb is the real one.

        Skips the test on a machine that has no dpkg-deb.
        """
        if shutil.which("dpkg-deb") is None:
            pytest.skip("needs dpkg-deb")
        packages, binaries = folder / "archive", folder / "bin"
        packages.mkdir()
        binaries.mkdir()
        (binaries / "apt-get").write_text(APT)
        (binaries / "apt-get").chmod(stat.S_IRWXU)
        environment = {"PATH": f"{binaries}:{os.environ['PATH']}", "ARCHIVE": str(packages)}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return cls(packages, {**os.environ, **environment})
