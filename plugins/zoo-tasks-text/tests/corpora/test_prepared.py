"""Prepared corpora on disk."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from zoo_tasks_text.corpora import prepared
from zoo_tasks_text.corpora.generated import GeneratedCorpus
from zoo_tasks_text.corpora.options import GeneratedOptions

from zoo.errors import ZooError
from zoo.tasks import DataHome, Pair

RECIPE = prepared.Recipe("made", {"version": 1})
SPLITS = {
    "train": [Pair({"en": "one", "zh": "一"}, "d", 0), Pair({"en": "two\u2028lines", "zh": "二"}, None, 1)],
    "dev": [Pair({"en": "three", "zh": "三"})],
    "test": [Pair({"en": "four", "zh": "四"}, domain="numbers")],
}


def build(home: DataHome, splits=SPLITS) -> prepared.StoredCorpus:
    return prepared.store(home, RECIPE, splits, languages=("zh", "en"), licence="CC0-1.0", facts={"source": "test"})


def test_what_is_stored_is_found(tmp_path):
    home = DataHome(tmp_path)
    stored = build(home)
    found = prepared.find(home, RECIPE)
    assert found is not None
    assert found.revision == stored.revision
    assert {split: list(found.pairs(split)) for split in SPLITS} == SPLITS
    assert found.facts["source"] == "test"
    assert found.facts["pairs"] == {"train": 2, "dev": 1, "test": 1}


def test_the_revision_is_that_of_the_content_alone(tmp_path):
    one = build(DataHome(tmp_path / "a"))
    turned = {
        split: [replace(pair, texts=dict(reversed(pair.texts.items()))) for pair in found]
        for split, found in SPLITS.items()
    }
    assert build(DataHome(tmp_path / "b"), turned).revision == one.revision
    other = {**SPLITS, "dev": [Pair({"en": "three", "zh": "叁"})]}
    assert build(DataHome(tmp_path / "c"), other).revision != one.revision


@pytest.mark.parametrize("damage", ["shorter", "changed", "missing", "facts"])
def test_a_damaged_folder_counts_as_absent(tmp_path, damage):
    home = DataHome(tmp_path)
    folder = build(home).directory
    train = folder / "train.jsonl"
    if damage == "shorter":
        train.write_bytes(train.read_bytes()[:-20])
    elif damage == "changed":
        train.write_bytes(train.read_bytes().replace("一".encode(), "壹".encode()))
    elif damage == "missing":
        train.unlink()
    else:
        (folder / "facts.json").write_text("{")
    assert prepared.find(home, RECIPE) is None
    # Building again puts it right.
    assert list(build(home).pairs("train")) == SPLITS["train"]


def test_an_empty_split_is_refused(tmp_path):
    with pytest.raises(ZooError, match="dev split is empty"):
        build(DataHome(tmp_path), {**SPLITS, "dev": []})
    assert list((tmp_path / "corpora" / "made").iterdir()) == []


def test_the_revision_is_what_earlier_versions_gave(tmp_path):
    # Written out from its definition: hashes of canonical JSON lines, hashed together with the format's name.
    digests = {
        split: hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
        for split, lines in {
            "train": [
                '{"document":"d","domain":null,"order":0,"texts":{"en":"one","zh":"一"}}',
                '{"document":null,"domain":null,"order":1,"texts":{"en":"two\u2028lines","zh":"二"}}',
            ],
            "dev": ['{"document":null,"domain":null,"order":0,"texts":{"en":"three","zh":"三"}}'],
            "test": ['{"document":null,"domain":"numbers","order":0,"texts":{"en":"four","zh":"四"}}'],
        }.items()
    }
    inner = ",".join(f'"{split}":"{digests[split]}"' for split in ("dev", "test", "train"))
    whole = hashlib.sha256(f'{{"format":"zoo.corpus/1","splits":{{{inner}}}}}'.encode()).hexdigest()
    assert build(DataHome(tmp_path)).revision == f"sha256:{whole}"


def test_splits_may_be_iterators_and_facts_count_what_they_left_out(tmp_path):
    counts = {"odd": 0}

    def even():
        for number in range(10):
            if number % 2:
                counts["odd"] += 1
            else:
                yield Pair({"en": str(number), "zh": "数"})

    stored = prepared.store(
        DataHome(tmp_path),
        RECIPE,
        {split: even() for split in SPLITS},
        languages=("zh", "en"),
        licence="CC0-1.0",
        facts={"dropped": counts},
    )
    assert stored.facts["dropped"] == {"odd": 15}
    assert [pair.texts["en"] for pair in stored.pairs("test")] == ["0", "2", "4", "6", "8"]


def test_a_split_that_breaks_half_way_leaves_nothing(tmp_path):
    def broken():
        yield from SPLITS["train"]
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="gone"):
        build(DataHome(tmp_path), {**SPLITS, "train": broken()})
    assert list((tmp_path / "corpora" / "made").iterdir()) == []


class TestLargeCorpora:
    """Above `HASHED_ALWAYS` bytes, files are hashed again only where they look changed."""

    @pytest.fixture(autouse=True)
    def _all_are_large(self, monkeypatch):
        monkeypatch.setattr(prepared, "HASHED_ALWAYS", 0)

    @pytest.fixture
    def hashed(self, monkeypatch):
        """The files that were hashed, in order."""
        names = []
        original = prepared.read_content
        monkeypatch.setattr(prepared, "read_content", lambda path: names.append(path.name) or original(path))
        return names

    def test_an_unchanged_corpus_is_opened_without_hashing(self, tmp_path, hashed):
        build(DataHome(tmp_path))
        assert sorted(hashed) == ["dev.jsonl", "test.jsonl", "train.jsonl"]
        hashed.clear()
        found = prepared.find(DataHome(tmp_path), RECIPE)
        assert found is not None
        assert {split: list(found.pairs(split)) for split in SPLITS} == SPLITS
        assert hashed == []

    def test_a_changed_time_makes_it_hash_once_more(self, tmp_path, hashed):
        folder = build(DataHome(tmp_path)).directory
        os.utime(folder / "dev.jsonl", (1, 1))
        hashed.clear()
        assert prepared.find(DataHome(tmp_path), RECIPE) is not None
        assert prepared.find(DataHome(tmp_path), RECIPE) is not None
        assert len(hashed) == 3

    def test_a_change_of_the_same_length_is_noticed(self, tmp_path):
        train = build(DataHome(tmp_path)).directory / "train.jsonl"
        train.write_bytes(train.read_bytes().replace("一".encode(), "壹".encode()))
        assert prepared.find(DataHome(tmp_path), RECIPE) is None

    @pytest.mark.parametrize("damage", ["missing", "cut", "other", "pickle"])
    def test_a_damaged_index_is_made_anew(self, tmp_path, damage):
        folder = build(DataHome(tmp_path)).directory
        index = folder / "train.offsets.npy"
        if damage == "missing":
            index.unlink()
        elif damage == "cut":
            index.write_bytes(index.read_bytes()[:-8])
        elif damage == "other":
            np.save(index, np.array([0, 5, 5]))
        else:
            np.save(index, np.array([{}], dtype=object), allow_pickle=True)
        found = prepared.find(DataHome(tmp_path), RECIPE)
        assert found is not None
        assert list(found.pairs("train")) == SPLITS["train"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written_is_read_all_the_same(self, tmp_path):
        folder = build(DataHome(tmp_path)).directory
        (folder / "checked.json").unlink()
        folder.chmod(0o555)
        try:
            assert prepared.find(DataHome(tmp_path), RECIPE) is not None
        finally:
            folder.chmod(0o755)


def test_another_revision_than_the_one_asked_for_is_an_error_that_names_the_packages(tmp_path):
    home = DataHome(tmp_path)

    def built() -> prepared.StoredCorpus:
        return prepared.store(
            home, RECIPE, SPLITS, languages=("zh", "en"), licence="x", facts={"packages": {"help-en": "7.5-2"}}
        )

    wanted = "sha256:" + "0" * 64
    with pytest.raises(ZooError, match=rf"{wanted} is asked for.*help-en 7\.5-2"):
        prepared.prepare(home, RECIPE, built, revision=wanted)


def test_what_a_killed_writer_left_is_swept_and_never_read(tmp_path):
    home = DataHome(tmp_path)
    left = tmp_path / "corpora" / "made" / ".tmp-left"
    left.mkdir(parents=True)
    (left / "train.jsonl").write_text('{"texts"')
    assert prepared.find(home, RECIPE) is None
    prepared.prepare(home, RECIPE, lambda: build(home))
    assert not left.exists()


def _prepare(arguments: tuple[Path, int]) -> str:
    root, _ = arguments
    return GeneratedCorpus(GeneratedOptions(pairs=2000)).prepare(DataHome(root)).revision


def test_processes_that_prepare_at_once_get_one_corpus(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        revisions = pool.map(_prepare, [(tmp_path, number) for number in range(6)])
    assert len(set(revisions)) == 1
    folders = [entry for entry in (tmp_path / "corpora" / "generated").iterdir() if entry.is_dir()]
    assert len(folders) == 1
    assert json.loads((folders[0] / "facts.json").read_text())["revision"] == revisions[0]
