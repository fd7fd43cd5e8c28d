"""From a spec to a row of a board, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from zoo.bench import RecordStore
from zoo.cli.main import main
from zoo.tasks.images import PixelImage
from zoo.tasks.peers import Peer
from zoo.testing.in_process import cells_in_this_process

TEXTS = (
    "Open the file again",
    "Close the window",
    "Press Enter to continue",
    "Save all pages first",
    "Print two copies",
    "A cell has one value",
)
SPEC = """
name: engine
task: {{use: image-text-files, name: lines, train: {folder}/train.tsv, dev: {folder}/dev.tsv, test: {folder}/test.tsv}}
evaluation: {{metrics: [cer, exact-match]}}
measurement: {{processes: 1, latency_samples: 3, warmup: 1, throughput_batches: [2]}}
grid: {{peer: [tesseract, rapidocr]}}
"""


@pytest.fixture
def spec(tmp_path: Path, line: Callable[..., PixelImage]) -> Path:
    """Of a task of six lines, drawn once for each split in another size."""
    for split, height in (("train", 56), ("dev", 48), ("test", 40)):
        rows = []
        for number, text in enumerate(TEXTS):
            Image.fromarray(line(text, height=height).pixels).save(tmp_path / f"{split}-{number}.png")
            rows.append(f"{split}-{number}.png\t{text}\t{split}\n")
        (tmp_path / f"{split}.tsv").write_text("".join(rows))
    path = tmp_path / "engines.yaml"
    path.write_text(SPEC.format(folder=tmp_path))
    return path


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


Zoo = Callable[..., Said]


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Zoo:
    """``zoo("bench", ...)``: the command line, with a home of its own."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))

    def run(*arguments: object) -> Said:
        status = main([str(argument) for argument in arguments])
        return Said(status, *capsys.readouterr())

    return run


def test_an_engine_that_is_missing_is_told_in_one_line_and_nothing_is_recorded(
    spec: Path, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("zoo_ocr_peers.rapid.MODULE", "no_such_module_here")
    done = zoo("bench", spec, "--store", tmp_path / "records")
    assert done.status == 2
    assert done.err.splitlines()[-2:] == [
        "zoo: engine+peer=tesseract: tesseract is not installed: apt-get install tesseract-ocr",
        "zoo: engine+peer=rapidocr: rapidocr-onnxruntime is not installed: pip install 'zoo-ocr-peers[rapidocr]'",
    ]
    assert not list((tmp_path / "records").glob("*"))
    assert not (tmp_path / "home" / "images").exists()


@pytest.mark.slow
def test_both_engines_become_rows_of_a_board(spec: Path, zoo: Zoo, engine: Callable[..., Peer], tmp_path: Path) -> None:
    expected = {name: engine(name).facts() for name in ("tesseract", "rapidocr")}
    store = tmp_path / "records"
    for name, processes in (("tesseract", 1), ("rapidocr", 0)):
        one = f"grid={{peer: [{name}], measurement.processes: [{processes}]}}"
        # The one that is measured has processes of its own.
        with nullcontext() if processes else cells_in_this_process():
            done = zoo("bench", spec, "--store", store, "--seeds", 3, "--set", "grid=null", "--set", one)
        assert done.status == 0, done.err
    records = {record.spec["peer"]["use"].rpartition("/")[2]: record for record in RecordStore(store).read().records}
    assert set(records) == {"tesseract", "rapidocr"}
    for name, record in records.items():
        assert (record.role, record.status) == ("peer", "ok")
        assert record.name.startswith(f"engine+peer={name}")
        assert {score.metric: score.value for score in record.quality} == {"cer": 0.0, "exact-match": 1.0}
        assert (record.parameters, record.steps, record.training_seconds, record.training_tokens) == (None,) * 4
        assert record.peer is not None
        assert record.peer.model_dump() == {**vars(expected[name])}
        assert [sample.output for sample in record.samples] == list(TEXTS)
    assert records["rapidocr"].performance == []
    (measured,) = records["tesseract"].performance
    assert measured.device_kind == "cpu"
    assert measured.latency is not None
    assert 0 < measured.latency.median < 60
    assert measured.encode is measured.training_memory is measured.training_steps_per_second is None
    (rate,) = measured.throughput
    assert rate.sentences_per_second is not None
    assert rate.tokens_per_second is None
    assert measured.memory is not None
    assert measured.memory.before_load is not None
    # Debian's eng.traineddata is 4 MB, and is held by the program, not by the process that calls it.
    assert measured.memory.peak > measured.memory.before_load + 4 * 2**20
    assert zoo("records", "check", store).status == 0
    again = zoo("bench", spec, "--store", store, "--set", "grid=null", "--set", one, "--json")
    assert [item["cached"] for item in json.loads(again.out)] == [True]
    built = zoo("leaderboard", "build", "--store", store, "--out", tmp_path / "site")
    assert built.status == 0, built.err
    (page,) = (tmp_path / "site" / "boards").glob("*.html")
    assert page.read_text().count('<span class="tag">not trained here</span>') == 2
