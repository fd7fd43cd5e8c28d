"""With the network cut: a clear error, and what is prepared stays usable."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from zoo_tasks_text.corpora.office import OfficeChinese
from zoo_tasks_text.corpora.options import DebianOptions

from zoo.tasks import DataHome

PROCESS = "import sys; from zoo.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def cut(tmp_path):
    """The environment of a machine whose sources name an archive that nothing listens at."""
    sources = tmp_path / "sources.list"
    sources.write_text("deb [trusted=yes] http://127.0.0.1:9/debian stable main\n")
    configuration = tmp_path / "apt.conf"
    lists = tmp_path / "lists"
    (lists / "partial").mkdir(parents=True)
    configuration.write_text(
        f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "/dev/null";\nDir::State::lists "{lists}";\n'
    )
    proxies = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    return {**os.environ, **proxies, "APT_CONFIG": str(configuration), "ZOO_HOME": str(tmp_path / "home")}


def zoo(environment, *arguments):
    return subprocess.run(
        [sys.executable, "-c", PROCESS, "data", *arguments], env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the error is that of a machine with apt")
def test_preparing_fails_with_one_line_within_seconds(cut):
    begun = time.monotonic()
    found = zoo(cut, "prepare", "office-zh-en")
    assert time.monotonic() - begun < 60
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert found.stderr.startswith("zoo: corpus office-zh-en cannot be fetched: the archive cannot be reached: ")
    assert "'parallel-files'" in found.stderr
    assert "'generated'" in found.stderr


def test_what_is_prepared_is_listed_shown_and_prepared_again(archive, tmp_path, cut):
    archive.put_help()
    archive.mark("lists")
    prepared = OfficeChinese(DebianOptions()).prepare(DataHome(tmp_path / "home"))
    archive.mark("offline")
    shutil.rmtree(tmp_path / "home" / "downloads")
    calls = len(archive.log())
    environment = {**cut, "PATH": archive.environment["PATH"], "ARCHIVE": archive.environment["ARCHIVE"]}
    shown = zoo(environment, "show", "office-zh-en", "--json")
    again = zoo(environment, "prepare", "office-zh-en", "--json")
    listed = zoo(environment, "list", "--json")
    for found in (shown, again, listed):
        assert (found.returncode, found.stderr) == (0, "")
    rows = {row["name"]: row["prepared"] for row in json.loads(listed.stdout)}
    assert json.loads(shown.stdout)["revision"] == prepared.revision
    assert json.loads(again.stdout)["revision"] == prepared.revision
    assert rows["office-zh-en"]["revision"] == prepared.revision
    assert len(archive.log()) == calls


def test_asking_for_a_newer_version_fails_and_keeps_the_old_one(archive, tmp_path, cut):
    archive.put_help()
    archive.mark("lists")
    prepared = OfficeChinese(DebianOptions()).prepare(DataHome(tmp_path / "home"))
    archive.mark("offline")
    shutil.rmtree(tmp_path / "home" / "downloads")
    environment = {**cut, "PATH": archive.environment["PATH"], "ARCHIVE": archive.environment["ARCHIVE"]}
    found = zoo(environment, "prepare", "office-zh-en", "--refresh")
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert "no route to the archive" in found.stderr
    assert "What is prepared stays as it is and usable" in found.stderr
    kept = OfficeChinese(DebianOptions()).find(DataHome(tmp_path / "home"))
    assert kept is not None
    assert kept.revision == prepared.revision
