"""Prepared corpora on disk."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
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


@given(st.lists(st.builds(Pair, st.fixed_dictionaries({"a": st.text(), "b": st.text()}), st.none() | st.text())))
def test_pairs_survive_encoding(drawn):
    try:
        data = prepared.encode_pairs(drawn)
    except UnicodeEncodeError:
        return
    assert prepared.decode_pairs(data) == drawn


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
