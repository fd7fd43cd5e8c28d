"""The LibreOffice help corpora."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from zoo_tasks_text.corpora.help_pages import Paragraph
from zoo_tasks_text.corpora.office import OfficeChinese, OfficeJapanese, align
from zoo_tasks_text.corpora.options import DebianOptions

from zoo.errors import ZooError
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS

PREPARE = "import sys; from zoo.cli.main import main; sys.exit(main(['data', 'prepare', 'office-zh-en']))"


def test_paragraphs_are_paired_by_id_not_by_place():
    english = {"a.html": [Paragraph("p1", "Opens a file.", False), Paragraph("p2", "Closes the file.", False)]}
    chinese = {
        "a.html": [
            Paragraph("p2", "关闭文件。", False),
            Paragraph("p9", "多余。", False),
            Paragraph("p1", "打开文件。", False),
        ]
    }
    dropped: Counter[str] = Counter()
    pairs = align(english, chinese, "zh", dropped)
    assert [(pair.texts["en"], pair.texts["zh"], pair.order) for pair in pairs] == [
        ("Opens a file.", "打开文件。", 0),
        ("Closes the file.", "关闭文件。", 1),
    ]
    assert dropped == {}


def test_what_is_left_out_of_a_page_keeps_its_place_in_the_order():
    """Else sentences that do not follow each other would be taken for context."""
    english = {
        "a.html": [
            Paragraph("p1", "Opens a file. XYZ. Saves it.", False),
            Paragraph("p2", "Has no counterpart.", False),
            Paragraph("p3", "XYZ", False),
            Paragraph("p4", "Closes the file.", False),
        ]
    }
    chinese = {
        "a.html": [
            Paragraph("p1", "打开文件。XYZ。保存它。", False),
            Paragraph("p3", "XYZ", False),
            Paragraph("p4", "关闭文件。", False),
        ]
    }
    pairs = align(english, chinese, "zh", Counter())
    assert [(pair.texts["en"], pair.order) for pair in pairs] == [
        ("Opens a file.", 0),
        ("Saves it.", 2),
        ("Closes the file.", 5),
    ]


def test_an_embedded_paragraph_belongs_to_the_page_that_owns_it():
    english = {
        "a/owner.html": [Paragraph("p1", "Opens a file.", False)],
        "b/user.html": [Paragraph("p1", "Opens a file.", True), Paragraph("p2", "Only shown here.", True)],
    }
    chinese = {
        "a/owner.html": [Paragraph("p1", "打开文件。", False)],
        "b/user.html": [Paragraph("p1", "打开文件。", True), Paragraph("p2", "仅在此处显示。", True)],
    }
    pairs = align(english, chinese, "zh", Counter())
    assert [(pair.document, pair.texts["en"]) for pair in pairs] == [
        ("a/owner", "Opens a file."),
        ("b/user", "Only shown here."),
    ]


def test_untranslated_and_missing_paragraphs_are_counted():
    english = {"a.html": [Paragraph("p1", "Opens a file.", False), Paragraph("p2", "Closes it.", False)]}
    dropped: Counter[str] = Counter()
    align(english, {"a.html": [Paragraph("p1", "Opens a file.", False)]}, "zh", dropped)
    assert dropped == {"no counterpart": 1, "untranslated": 1}


@pytest.mark.parametrize(("corpus", "language"), [(OfficeChinese, "zh"), (OfficeJapanese, "ja")])
def test_a_corpus_is_built_from_packages(archive, tmp_path, corpus, language):
    archive.put_help()
    archive.mark("lists")
    prepared = corpus(DebianOptions()).prepare(DataHome(tmp_path / "home"))
    assert prepared.name == f"office-{language}-en"
    assert prepared.licence == "MPL-2.0"
    assert prepared.languages == (language, "en")
    assert sum(len(prepared.pairs(split)) for split in SPLITS) + sum(prepared.facts["dropped"].values()) == 500
    assert set(prepared.facts["packages"].values()) == {"4:7.4-1"}
    for split in SPLITS:
        for pair in prepared.pairs(split):
            assert pair.document is not None
            assert pair.domain == "swriter"


def test_both_corpora_split_the_documents_alike(archive, tmp_path):
    archive.put_help()
    archive.mark("lists")
    owners = []
    for corpus in (OfficeChinese, OfficeJapanese):
        prepared = corpus(DebianOptions()).prepare(DataHome(tmp_path))
        owners.append({pair.document: split for split in SPLITS for pair in prepared.pairs(split)})
    assert owners[0] == owners[1]


def test_a_prepared_corpus_needs_no_archive(archive, tmp_path):
    archive.put_help()
    archive.mark("lists")
    corpus = OfficeChinese(DebianOptions())
    first = corpus.prepare(DataHome(tmp_path / "home"))
    calls = len(archive.log())
    assert corpus.prepare(DataHome(tmp_path / "home")).revision == first.revision
    assert len(archive.log()) == calls


def test_a_new_package_version_gives_another_revision_and_says_so(archive, tmp_path):
    home = DataHome(tmp_path / "home")
    archive.put_help()
    archive.mark("lists")
    first = OfficeChinese(DebianOptions()).prepare(home)
    archive.put_help("4:7.5-1", documents=99)
    second = OfficeChinese(DebianOptions()).refresh(home)
    assert second.revision != first.revision
    assert set(second.facts["packages"].values()) == {"4:7.5-1"}
    # The old one stays where it is, for those who ask for it by name.
    assert OfficeChinese(DebianOptions(revision=first.revision)).prepare(home).revision == first.revision
    with pytest.raises(ZooError, match=r"is asked for, but the source now gives .*4:7\.5-1"):
        OfficeChinese(DebianOptions(revision=first.revision)).prepare(DataHome(tmp_path / "fresh"))


def test_without_apt_the_error_names_the_alternatives(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZooError, match="'parallel-files'.*'generated'") as caught:
        OfficeChinese(DebianOptions()).prepare(DataHome(tmp_path / "home"))
    assert "apt-get" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_the_command_line_without_apt_ends_in_one_line_and_status_1(tmp_path):
    environment = {**os.environ, "PATH": str(tmp_path), "ZOO_HOME": str(tmp_path / "home")}
    found = subprocess.run([sys.executable, "-c", PREPARE], env=environment, capture_output=True, text=True)
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert "parallel-files" in found.stderr


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_gives_the_same_corpus(archive, tmp_path):
    archive.put_help()
    archive.mark("lists")
    expected = OfficeChinese(DebianOptions()).prepare(DataHome(tmp_path / "undisturbed")).revision
    archive.mark("delay", "0.05")
    home = DataHome(tmp_path / "home")
    environment = {**archive.environment, "ZOO_HOME": str(home.root)}
    draw = random.Random(7)
    for _ in range(7):
        process = subprocess.Popen([sys.executable, "-c", PREPARE], env=environment, stdout=subprocess.DEVNULL)
        time.sleep(draw.uniform(0.2, 1.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = OfficeChinese(DebianOptions()).find(home)
        assert found is None or found.revision == expected
        if found is not None:
            # Done already: start over with what a kill can leave, half a package.
            for pointer in home.corpora.glob("*/*.json"):
                pointer.unlink()
            for deb in (home.downloads / "debian").glob("*.deb"):
                os.truncate(deb, deb.stat().st_size // 2)
    done = subprocess.run([sys.executable, "-c", PREPARE], env=environment, capture_output=True, text=True, check=True)
    assert expected in done.stdout
    assert not list(Path(home.corpora / "office-zh-en").glob(".tmp-*"))


def test_corpora_that_are_prepared_at_once_share_their_packages(archive, tmp_path):
    archive.put_help()
    archive.mark("lists")
    archive.mark("delay", "0.1")
    environment = {**archive.environment, "ZOO_HOME": str(tmp_path / "home")}
    programs = [PREPARE, PREPARE.replace("office-zh-en", "office-ja-en")]
    running = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.DEVNULL)
        for program in programs * 2
    ]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    # Three packages, each from its first byte, each once.
    assert [call for call in archive.log() if call.startswith("resume")] == ["resume 0"] * 3


@pytest.mark.network
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="the packages come through apt")
@pytest.mark.parametrize(
    ("corpus", "least"), [(OfficeChinese, 20_000), pytest.param(OfficeJapanese, 15_000, marks=pytest.mark.soak)]
)
def test_the_real_packages(tmp_path, corpus, least):
    prepared = corpus(DebianOptions()).prepare(DataHome(tmp_path))
    sizes = {split: len(prepared.pairs(split)) for split in SPLITS}
    assert sizes["train"] >= least
    assert 500 <= sizes["dev"] <= 1500
    assert 500 <= sizes["test"] <= 1500
    assert prepared.facts["packages"]["libreoffice-help-en-us"]
