"""Datasets of Hugging Face's library."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from zoo_tasks_text.corpora.hugging_face import HuggingFaceCorpus
from zoo_tasks_text.corpora.library_options import HuggingFaceOptions

from zoo.cli.main import main
from zoo.errors import InputError, ZooError
from zoo.registry import current_registry
from zoo.spec.options import Chosen
from zoo.tasks import DataHome
from zoo.tasks.contracts import SPLITS
from zoo.testing.surroundings import untouched_surroundings
from zoo.testing.tasks import CorpusSuite

datasets = pytest.importorskip("datasets")
pq = pytest.importorskip("pyarrow.parquet")

ROWS = [(a + b, f"{a} {b}") for a in "天地玄黄宇宙洪荒" for b in "日月盈昃辰宿列张寒来暑往"]
COLUMNS = {"zh": [row[0] for row in ROWS], "en": [row[1] for row in ROWS]}
PROCESS = "import sys; from zoo.cli.main import main; sys.exit(main(sys.argv[1:]))"


def corpus(path, **options) -> HuggingFaceCorpus:
    given = {"name": "mine", "languages": ["zh", "en"], "dev_fraction": 0.1, "test_fraction": 0.1, **options}
    return HuggingFaceCorpus(HuggingFaceOptions.model_validate({**given, "path": str(path)}))


def prepare(tmp_path, path, **options):
    return corpus(path, **options).prepare(DataHome(tmp_path / "home"))


def table(**columns):
    return datasets.Dataset.from_dict(columns or COLUMNS)


def translations(rows=ROWS, **columns):
    return table(translation=[{"zh": zh, "en": en} for zh, en in rows], **columns)


def everything(prepared):
    return sorted((pair.texts["zh"], pair.texts["en"]) for split in SPLITS for pair in prepared.pairs(split))


class TestConformance(CorpusSuite):
    """The corpus over a folder of this test's own; needs no network."""

    component = "hf-dataset"
    options = ({"name": "mine", "languages": ["zh", "en"], "path": "saved"},)

    @pytest.fixture
    def chosen(self, given: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Chosen:
        folder = tmp_path_factory.mktemp("saved")
        documents = [f"d{number // 4}" for number in range(len(ROWS))]
        translations(document=documents).save_to_disk(folder / "saved")
        record = current_registry().get("corpus", "hf-dataset")
        given = {**given, "path": str(folder / "saved"), "document": "document", "test_fraction": 0.2}
        return Chosen(record, record.load_options().model_validate({**given, "dev_fraction": 0.2}))


def saved(folder):
    table().save_to_disk(folder)


def saved_splits(folder):
    datasets.DatasetDict({"train": table()}).save_to_disk(folder)


def parquet(folder):
    folder.mkdir()
    pq.write_table(table().data.table, folder / "data.parquet")


def shards(folder):
    (folder / "train").mkdir(parents=True)
    for number in range(3):
        table().shard(3, number).to_parquet(folder / "train" / f"{number}.parquet")


def jsonl(folder):
    folder.mkdir()
    rows = [json.dumps({"zh": zh, "en": en}) + "\n" for zh, en in ROWS]
    (folder / "corpus.jsonl").write_text("".join(rows), encoding="utf-8")


def packed(folder):
    folder.mkdir()
    rows = [json.dumps({"zh": zh, "en": en}) + "\n" for zh, en in ROWS]
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress("".join(rows).encode()))


def csv(folder):
    folder.mkdir()
    (folder / "a.csv").write_text("zh,en\n" + "".join(f"{zh},{en}\n" for zh, en in ROWS), encoding="utf-8")


def tsv(folder):
    folder.mkdir()
    (folder / "a.tsv").write_text("en\tzh\n" + "".join(f"{en}\t{zh}\n" for zh, en in ROWS), encoding="utf-8")


@pytest.mark.parametrize("form", [saved, saved_splits, parquet, shards, jsonl, packed, csv, tsv])
def test_each_form_of_a_folder_gives_every_row(tmp_path, form):
    form(tmp_path / "data")
    assert everything(prepare(tmp_path, tmp_path / "data")) == sorted(ROWS)


def test_a_single_file_is_training_data(tmp_path):
    jsonl(tmp_path / "data")
    assert everything(prepare(tmp_path, tmp_path / "data" / "corpus.jsonl")) == sorted(ROWS)


def test_the_datasets_own_splits_are_used(tmp_path):
    made = datasets.DatasetDict(
        {
            "train": translations(ROWS[:50], origin=[7] * 50, kind=["talk"] * 50),
            "validation": translations(ROWS[50:60], origin=[8] * 10, kind=[None] * 10),
            "test": translations(ROWS[60:70], origin=[9] * 10, kind=["book"] * 10),
        }
    )
    made.save_to_disk(tmp_path / "data")
    prepared = prepare(tmp_path, tmp_path / "data", document="origin", domain="kind")
    assert {split: len(prepared.pairs(split)) for split in SPLITS} == {"train": 50, "dev": 10, "test": 10}
    assert {(pair.document, pair.domain) for split in SPLITS for pair in prepared.pairs(split)} == {
        ("7", "talk"),
        ("8", None),
        ("9", "book"),
    }
    assert [pair.order for pair in prepared.pairs("test")] == list(range(10))
    assert prepared.facts["splits"] == {"train": "train", "dev": "validation", "test": "test"}


def test_the_datasets_own_dev_and_test_splits_stay_as_they_are(tmp_path):
    dev, test = [ROWS[0], ROWS[0], ROWS[1]], [ROWS[1], ROWS[2], ROWS[1]]
    given = {"train": translations(ROWS[:50]), "validation": translations(dev), "test": translations(test)}
    datasets.DatasetDict(given).save_to_disk(tmp_path / "data")
    prepared = prepare(tmp_path, tmp_path / "data")
    for split, rows in (("dev", dev), ("test", test)):
        assert [(pair.texts["zh"], pair.texts["en"]) for pair in prepared.pairs(split)] == rows
    assert len(prepared.pairs("train")) == 47
    assert prepared.facts["kept"] == {"dev pairs seen in test": 1, "duplicates in dev": 1, "duplicates in test": 1}


def test_files_are_dealt_to_splits_by_their_names(tmp_path):
    (tmp_path / "data").mkdir()
    for name, rows in (("x-train-0", ROWS[:40]), ("valid", ROWS[40:45]), ("testing", ROWS[45:50])):
        rows = [json.dumps({"zh": zh, "en": en}) + "\n" for zh, en in rows]
        (tmp_path / "data" / f"{name}.jsonl").write_text("".join(rows), encoding="utf-8")
    prepared = prepare(tmp_path, tmp_path / "data")
    assert {split: len(prepared.pairs(split)) for split in SPLITS} == {"train": 40, "dev": 5, "test": 5}


def test_named_columns_are_read_and_others_are_not(tmp_path):
    table(src=COLUMNS["zh"], tgt=COLUMNS["en"], junk=list(range(len(ROWS)))).save_to_disk(tmp_path / "data")
    assert everything(prepare(tmp_path, tmp_path / "data", columns=["src", "tgt"])) == sorted(ROWS)


def test_rows_without_both_texts_are_counted(tmp_path):
    table(zh=[*COLUMNS["zh"], "甲", None, "乙"], en=[*COLUMNS["en"], " ", "x", "nul\0"]).save_to_disk(tmp_path / "data")
    prepared = prepare(tmp_path, tmp_path / "data")
    assert everything(prepared) == sorted(ROWS)
    assert prepared.facts["dropped"]["rows without both texts"] == 3


def test_a_changed_folder_is_another_corpus_and_an_unchanged_one_is_found(tmp_path):
    jsonl(tmp_path / "data")
    first = prepare(tmp_path, tmp_path / "data")
    home = DataHome(tmp_path / "home")
    (tmp_path / "data").rename(tmp_path / "moved")
    found = corpus(tmp_path / "moved").find(home)
    assert found is not None
    assert found.revision == first.revision
    with (tmp_path / "moved" / "corpus.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"zh": "新", "en": "new"}\n')
    assert corpus(tmp_path / "moved").find(home) is None
    assert prepare(tmp_path, tmp_path / "moved").revision != first.revision


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (saved, {"columns": ["zh", "english"]}, r"no column 'english' \(has zh, en\)"),
        (saved, {"languages": ["ja", "en"]}, "no column 'ja'"),
        (saved, {"train": "all"}, r"no split 'all' \(has train\)"),
        (saved, {"dev": "train"}, "'train' is to be two splits at once"),
        (lambda folder: translations().save_to_disk(folder), {"languages": ["ja", "en"]}, "has no 'ja'"),
        (lambda folder: table(zh=[1], en=["a"]).save_to_disk(folder), {}, r"data\[train\]:0: column 'zh' is int"),
        (lambda folder: table(zh=["a"], en=["b"]).save_to_disk(folder), {}, "split empty"),
        (lambda folder: folder.mkdir(), {}, "holds nothing, expected what save_to_disk made"),
    ],
)
def test_data_that_does_not_fit_is_named_in_one_line(tmp_path, make, options, message):
    make(tmp_path / "data")
    with pytest.raises(InputError, match=message) as caught:
        prepare(tmp_path, tmp_path / "data", **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", b'{"zh": \n'), ("a.parquet", b"PAR1 no"), ("a.csv", b"zh,en\n\xff\xfe,b\n"), ("a.arrow", b"no")],
)
def test_a_damaged_file_is_one_line(tmp_path, name, content):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a dataset") as caught:
        prepare(tmp_path, tmp_path / "data")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "home" / "corpora" / "mine").glob("[!.]*")) == []


@pytest.mark.parametrize("name", ["test.jsonl", "test.csv"])
def test_an_empty_file_is_named(tmp_path, name):
    (csv if name.endswith("csv") else jsonl)(tmp_path / "data")
    (tmp_path / "data" / name).write_bytes(b"")
    with pytest.raises(InputError, match=f"{name}: the file is empty"):
        prepare(tmp_path, tmp_path / "data")


def test_two_kinds_of_files_are_refused(tmp_path):
    jsonl(tmp_path / "data")
    (tmp_path / "data" / "a.csv").write_text("zh,en\n")
    with pytest.raises(InputError, match=r"end in \.csv and \.jsonl, expected one kind"):
        prepare(tmp_path, tmp_path / "data")


class Bomb:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickles_and_scripts_are_never_run(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    (folder / "data.py").write_text(f"import os; os.mkdir({str(tmp_path / 'ran')!r})")
    with pytest.raises(InputError, match=r"holds \.pkl, \.py, expected .* \(pickles are never read\)"):
        prepare(tmp_path, folder)
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"zh": zh, "en": en}) + "\n" for zh, en in ROWS))
    assert everything(prepare(tmp_path, folder)) == sorted(ROWS)
    assert not (tmp_path / "ran").exists()


def test_the_library_is_quiet_and_left_as_it_was(tmp_path, capfd):
    jsonl(tmp_path / "data")
    bars = datasets.are_progress_bars_disabled()
    with untouched_surroundings():
        prepare(tmp_path, tmp_path / "data")
    assert datasets.are_progress_bars_disabled() == bars
    assert capfd.readouterr() == ("", "")


def test_a_missing_folder_is_told_with_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"no such folder.*working directory, {tmp_path}"):
        prepare(tmp_path, "./none")
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
@pytest.mark.parametrize("offline", ["unreachable", "switched off"])
def test_without_the_hub_one_line_names_the_alternatives_within_seconds(tmp_path, offline):
    environment = {**os.environ, "ZOO_HOME": str(tmp_path / "home"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    environment["HF_HUB_OFFLINE"] = "1" if offline == "switched off" else "0"
    sets = ["name=mine", "languages=[zh, en]", "path=owner/name"]
    command = [sys.executable, "-c", PROCESS, "data", "prepare", "hf-dataset"]
    begun = time.monotonic()
    found = subprocess.run(
        [*command, *[part for text in sets for part in ("--set", text)]],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert time.monotonic() - begun < 60
    assert found.returncode == 1
    assert len(found.stderr.splitlines()) == 1
    assert "dataset owner/name cannot be had from the hub" in found.stderr
    assert "save_to_disk" in found.stderr
    assert "parallel-files" in found.stderr


@pytest.mark.parametrize("streaming", [False, True])
def test_a_hubs_dataset_is_read_at_the_commit_it_has_now_and_found_offline(tmp_path, monkeypatch, streaming):
    import huggingface_hub

    class Api:
        """Stands in for the hub."""

        commit = "c1"

        def dataset_info(self, path, *, revision, timeout):
            if Api.commit is None:
                raise ConnectionError("no route")
            card = huggingface_hub.DatasetCardData(license="cc-by-4.0")
            return type("Info", (), {"sha": Api.commit, "card_data": card})

    asked = []

    def load_dataset(path, config, *, revision, streaming, **options):
        asked.append((path, config, revision, streaming))
        data = datasets.DatasetDict({"train": table().select(range(90 if revision == "c1" else 80))})
        return {"train": data["train"].to_iterable_dataset()} if streaming else data

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    home, options = DataHome(tmp_path / "home"), {"config": "en-zh", "streaming": streaming}
    first = corpus("owner/name", **options).prepare(home)
    assert (first.licence, first.facts["dataset"]["commit"]) == ("cc-by-4.0", "c1")
    assert asked == [("owner/name", "en-zh", "c1", streaming)]
    Api.commit = "c2"
    assert corpus("owner/name", **options).prepare(home).revision == first.revision
    assert corpus("owner/name", **options).refresh(home).revision != first.revision
    Api.commit = None
    assert corpus("owner/name", **options).prepare(home).facts["dataset"]["commit"] == "c2"
    with pytest.raises(ZooError, match="no route"):
        corpus("owner/name").prepare(home)


def test_without_the_library_the_error_says_what_to_install(tmp_path, monkeypatch, capsys):
    jsonl(tmp_path / "data")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    sets = ["name=mine", "languages=[zh, en]", f"path={tmp_path / 'data'}"]
    assert main(["data", "prepare", "hf-dataset", *[part for text in sets for part in ("--set", text)]]) == 1
    assert "pip install 'zoo-tasks-text[datasets]'" in capsys.readouterr().err


def test_nothing_slow_is_imported_to_list_it():
    program = (
        "import sys, zoo.cli.main as m; m.main(['show', 'corpus/hf-dataset']); sys.exit('datasets' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parent)
    assert found.returncode == 0, found.stderr
