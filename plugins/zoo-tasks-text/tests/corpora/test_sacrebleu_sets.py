"""sacrebleu's test sets, served from a folder on this machine."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from sacrebleu.dataset import DATASETS
from sacrebleu.dataset.fake_sgml import FakeSGMLDataset
from sacrebleu.dataset.plain_text import PlainTextDataset
from zoo_tasks_text.corpora import sacrebleu_sets
from zoo_tasks_text.corpora.library_options import SacrebleuOptions
from zoo_tasks_text.corpora.sacrebleu_sets import SacrebleuCorpus

from zoo.errors import InputError, ZooError
from zoo.spec.options import Chosen
from zoo.tasks import DataHome
from zoo.testing.surroundings import untouched_surroundings

WORDS = [(a + b, f"{a} {b}") for a in "天地玄黄宇宙洪荒" for b in "日月盈昃辰宿列张寒来暑往"]
# A segment stands twice, one has no reference, one holds a character that ends a line for Python alone.
SET = [("天日", "heaven, sun"), ("测试", "a test"), ("天日", "heaven, sun"), ("空", ""), ("行\u2028尾", "line end")]
PROCESS = "import sys; from zoo.cli.main import main; sys.exit(main(sys.argv[1:]))"


def archive(path: Path, members: dict[str, str]) -> tuple[str, str]:
    """(URL, MD5) of a .tar.gz."""
    with tarfile.open(path, "w:gz") as packed:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    return path.as_uri(), hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def plain(tmp_path, monkeypatch):
    """The test set ``made/plain`` of two text files; gives its archive."""
    path = tmp_path / "plain.tar.gz"
    url, md5 = archive(path, {"a.zh": "".join(f"{zh}\n" for zh, _ in SET), "a.en": "".join(f"{en}\n" for _, en in SET)})
    made = PlainTextDataset("made/plain", [url], "Five segments", "", [md5], {"zh-en": ["a.zh", "a.en"]})
    monkeypatch.setitem(DATASETS, "made/plain", made)
    return path


@pytest.fixture
def sgml(tmp_path, monkeypatch):
    """The test set ``made20`` with documents and genres, as WMT's are."""

    def side(column: int) -> str:
        segments = [f'<seg id="{number}">{row[column]}</seg>\n' for number, row in enumerate(WORDS[:4])]
        first, second = "".join(segments[:2]), "".join(segments[2:])
        return f'<doc docid="one" genre="news">\n{first}</doc>\n<doc docid="two" genre="talk">\n{second}</doc>\n'

    url, md5 = archive(tmp_path / "sgml.tar.gz", {"b.zh.sgm": side(0), "b.en.sgm": side(1)})
    made = FakeSGMLDataset("made20", [url], "Four segments", "", [md5], {"zh-en": ["b.zh.sgm", "b.en.sgm"]})
    monkeypatch.setitem(DATASETS, "made20", made)


@pytest.fixture
def train(tmp_path):
    """Options of a training corpus that holds segments of the sets."""
    path = tmp_path / "train.tsv"
    rows = [*WORDS, ("测试", "another wording"), ("另一个", "A  Test")]
    path.write_text("".join(f"{zh}\t{en}\n" for zh, en in rows), encoding="utf-8")
    given = {"use": "parallel-files", "name": "own", "languages": ["zh", "en"], "train": str(path)}
    return {**given, "dev_fraction": 0.2, "test_fraction": 0.1}


def corpus(train, **options) -> SacrebleuCorpus:
    given = {"name": "mine", "languages": ["zh", "en"], "test": "made/plain", "train": train, **options}
    return SacrebleuCorpus(SacrebleuOptions.model_validate(given))


def test_every_segment_of_the_set_is_kept_in_order(tmp_path, plain, train):
    prepared = corpus(train).prepare(DataHome(tmp_path / "home"))
    kept = [(zh, en) for zh, en in SET if en]
    assert [(pair.texts["zh"], pair.texts["en"]) for pair in prepared.pairs("test")] == kept
    assert prepared.facts["dropped"]["segments without source or reference"] == 1
    assert prepared.facts["sets"]["test"]["description"] == "Five segments"
    assert "made/plain" in prepared.licence


def test_no_side_of_the_set_stands_in_train_or_dev(tmp_path, plain, train):
    prepared = corpus(train).prepare(DataHome(tmp_path / "home"))
    for language, column in (("zh", 0), ("en", 1)):
        held = {row[column] for row in SET}
        for split in ("train", "dev"):
            assert not held & {pair.texts[language] for pair in prepared.pairs(split)}
    # "天日", "测试" by source, and "A  Test" by target.
    own = corpus(train).options.train.create().prepare(DataHome(tmp_path / "home"))
    seen = [pair.texts["zh"] for split in ("train", "dev") for pair in own.pairs(split)]
    lost = len([zh for zh in seen if zh in {"天日", "测试", "另一个"}])
    assert len(prepared.pairs("train")) + len(prepared.pairs("dev")) == len(seen) - lost


def test_documents_and_domains_of_a_set_are_kept_and_dev_may_be_a_set(tmp_path, plain, sgml, train):
    prepared = corpus(train, test="made20", dev="made/plain").prepare(DataHome(tmp_path / "home"))
    assert [(pair.document, pair.order, pair.domain) for pair in prepared.pairs("test")] == [
        ("made20/one", 0, "news"),
        ("made20/one", 1, "news"),
        ("made20/two", 2, "talk"),
        ("made20/two", 3, "talk"),
    ]
    # Its first segment stands in the test set, its third is the first again.
    assert [pair.texts["en"] for pair in prepared.pairs("dev")] == ["a test", "line end"]


def test_it_is_fetched_once_and_works_offline_afterwards(tmp_path, plain, train):
    home = DataHome(tmp_path / "home")
    assert corpus(train).find(home) is None
    first = corpus(train).prepare(home)
    plain.unlink()
    assert corpus(train).prepare(home).revision == first.revision
    found = corpus(train).find(home)
    assert found is not None
    assert found.revision == first.revision
    # Another corpus with the same set needs the network no more, either.
    assert list(corpus(train, name="other").prepare(home).pairs("test")) == list(first.pairs("test"))


def test_what_a_killed_download_left_is_swept_by_the_next(tmp_path, plain, train):
    left = tmp_path / "home" / "downloads" / "sacrebleu" / ".tmp-killed"
    left.mkdir(parents=True)
    corpus(train).prepare(DataHome(tmp_path / "home"))
    assert not left.exists()


def test_what_sacrebleu_has_fetched_itself_is_taken(tmp_path, plain, train, monkeypatch):
    dataset = DATASETS["made/plain"]
    monkeypatch.setattr(dataset, "_rawdir", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    plain.rename(tmp_path / "cache" / "made_plain.plain.tar.gz")
    assert len(corpus(train).prepare(DataHome(tmp_path / "home")).pairs("test")) == 4


def test_a_damaged_download_is_one_line_and_not_kept(tmp_path, plain, train):
    whole = plain.read_bytes()
    plain.write_bytes(whole[:-10])
    home = DataHome(tmp_path / "home")
    with pytest.raises(ZooError, match="'made/plain' cannot be fetched: its hash is not the one") as caught:
        corpus(train).prepare(home)
    assert "\n" not in str(caught.value)
    plain.write_bytes(whole)
    assert len(corpus(train).prepare(home).pairs("test")) == 4


def test_surroundings_are_left_alone(tmp_path, plain, train, capfd):
    with untouched_surroundings():
        corpus(train).prepare(DataHome(tmp_path / "home"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": "wmt-20"}, "sacrebleu has no test set 'wmt-20': did you mean 'wmt20'"),
        ({"test": "wmt14"}, r"test set 'wmt14' has no zh-en \(has cs-en, "),
        ({"languages": ["ja", "en"], "test": "wmt20"}, "language 'ja' is not in corpus own"),
    ],
)
def test_wrong_names_are_the_users_mistake(tmp_path, train, options, message):
    with pytest.raises(InputError, match=message):
        corpus(train, **options).prepare(DataHome(tmp_path / "home"))


def command(tmp_path: Path, train: dict[str, str], test: str) -> list[str]:
    chosen = ", ".join(f"{key}: {value}" for key, value in train.items() if key != "languages")
    sets = ["name=mine", "languages=[zh, en]", f"test={test}", f"train={{{chosen}, languages: [zh, en]}}"]
    return [
        *[sys.executable, "-c", PROCESS, "data", "prepare", "sacrebleu"],
        *[part for text in sets for part in ("--set", text)],
    ]


def test_without_network_one_line_names_the_alternative_within_seconds(tmp_path, train):
    home = tmp_path / "home"
    environment = {**os.environ, "ZOO_HOME": str(home), "SACREBLEU": str(tmp_path / "none")}
    environment |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    begun = time.monotonic()
    found = subprocess.run(command(tmp_path, train, "wmt20"), env=environment, capture_output=True, text=True)
    assert time.monotonic() - begun < 60
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert found.stderr.startswith("zoo: test set 'wmt20' cannot be fetched: ")
    assert "parallel-files" in found.stderr
    assert not list((home / "downloads" / "sacrebleu").glob("wmt20.*-en"))
    # What was prepared before is usable all the same.
    own = corpus(train).options.train.create().find(DataHome(home))
    assert own is not None
    assert len(own.pairs("train")) > 0


def test_a_download_that_stalls_is_given_up(tmp_path, plain, train, monkeypatch):
    import socket

    monkeypatch.setattr(sacrebleu_sets, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(DATASETS["made/plain"], "data", [f"http://127.0.0.1:{server.getsockname()[1]}/a.tar.gz"])
        with pytest.raises(ZooError, match="cannot be fetched: .*timed out"):
            corpus(train).prepare(DataHome(tmp_path / "home"))


def test_the_board_has_the_name_that_is_given(plain, train):
    from zoo.registry import current_registry

    record = current_registry().get("task", "translation")
    given = {"use": "sacrebleu", "name": "mine", "languages": ["zh", "en"], "test": "made/plain", "train": train}
    options = record.load_options().model_validate({"corpus": given, "source": "zh", "target": "en"})
    assert Chosen(record, options).create().name == "mine-zh-en"
