"""What is left where a process that exports is killed, with exporters and presets as users have them."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from zoo.export.folder import read_export
from zoo.export.runtime import load
from zoo.spec import resolve
from zoo.tasks import DataHome
from zoo.testing.surroundings import one_thread
from zoo.training import build
from zoo.training.preparation import prepare_task

SPEC: dict[str, Any] = {
    "name": "tiny",
    "task": {
        "use": "translation",
        "corpus": {"use": "generated", "pairs": 120, "dev_pairs": 12, "test_pairs": 5, "vocabulary": 60},
        "source": "qaa",
        "target": "qab",
    },
    "tokenizer": {"use": "unigram", "vocab_size": 120},
    "model": {
        "d_model": 16,
        "heads": 2,
        "encoder": {"layers": 1},
        "decoder": {"layers": 1},
        "position": "rotary",
        "block": "pre-norm",
        "normalization": "layer-norm",
        "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
        "fusion": "top",
        "max_positions": 64,
    },
    "training": {
        "steps": 0,
        "batch_tokens": 100,
        "objective": "cross-entropy",
        "optimizer": {"use": "adamw", "lr": 1e-3},
        "schedule": "constant",
        "clipping": "none",
    },
    "decoding": {"strategy": "greedy", "max_new_tokens": 12, "batch_size": 5},
    "evaluation": {"metrics": ["chrf"]},
}

# Imports what exporting takes, then has a child export for each moment, and kill itself as it is about to do the Nth
# thing to the disk beside `out`: to open a file to write, make, rename or remove something. The first child lives, and
# leaves a list of what it did elsewhere, from which the moments are chosen.
CHILDREN = r"""
import json, os, shutil, signal, sys
from pathlib import Path
import onnx, onnxruntime, onnxscript, torch  # noqa: as children share them
import zoo.export.exporting
from zoo.cli.main import main
from zoo.registry import current_registry
current_registry()
torch.set_num_threads(1)
model, shelf, lines, asked = sys.argv[1], Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])

def ours(path):
    return isinstance(path, (str, bytes, os.PathLike)) and os.fsdecode(path).startswith(str(shelf))

def doing(event, given):
    if event == "open" and ours(given[0]) and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR):
        return f"write {Path(os.fsdecode(given[0])).name}"
    if event in {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "shutil.rmtree"} and ours(given[0]):
        return event
    if event == "ctypes.dlsym" and given[1] == "renameat2":
        return "exchange"

def child(moment, report):
    done = []
    def watch(event, given):
        what = doing(event, given)
        if what is None:
            return
        done.append(what)
        if len(done) == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    status = main(["export", model, *asked, "--sources", lines, "--out", str(shelf / "out")])
    if report:
        report.write_text(json.dumps(done))
    os._exit(status)

def forked(moment, report=None):
    pid = os.fork()
    if not pid:
        try:
            child(moment, report)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

earlier = shelf.parent / "earlier"
def put_back():
    shutil.rmtree(shelf)
    shelf.mkdir()
    shutil.copytree(earlier, shelf / "out")

def outcome(moment, report=None):
    put_back()
    return forked(moment, report)

report = shelf.parent / "done.json"
assert outcome(0, report) == 0
done = json.loads(report.read_text())
swap = done.index("exchange") + 1
moments = sorted({1, 2, *(len(done) * part // 5 for part in (1, 2, 3)), swap - 1, swap, swap + 1})
for moment in moments:
    status = outcome(moment)
    shutil.copytree(shelf / "out", shelf.parent / f"after-{moment}")
    told = {"moment": moment, "what": done[moment - 1], "status": status, "swapped": moment > swap}
    print(json.dumps(told), flush=True)
put_back()
assert forked(moments[2]) == -signal.SIGKILL
assert forked(0) == 0, "what a killed one left is not in the way"
shutil.copytree(shelf / "out", shelf.parent / "again")
"""


def _digests(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An untrained model's folder, and a file of sources."""
    root = tmp_path_factory.mktemp("model")
    home, spec = DataHome(root / "home"), resolve(SPEC)
    with one_thread():
        build(spec, root / "tiny", home)
    lines = root / "lines.txt"
    lines.write_text("".join(f"{example.source}\n" for example in prepare_task(spec, home).examples("dev")))
    return root / "tiny", lines


@pytest.mark.soak
@pytest.mark.parametrize(
    "asked",
    [["--to", "onnx"], ["--preset", "cpu-fast"], ["--preset", "gpu"], ["--to", "{use: ctranslate2, weights: int8}"]],
    ids=lambda asked: asked[-1],
)
def test_an_export_that_is_killed_at_any_moment_leaves_the_earlier_one_or_the_new_one_whole(
    model: tuple[Path, Path], tmp_path: Path, asked: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    from zoo.cli.main import main

    folder, lines = model
    earlier, shelf = tmp_path / "earlier", tmp_path / "shelf"
    shelf.mkdir()
    with one_thread():
        to = ["--to", "{use: onnx, opset: 20}"]
        assert main(["export", str(folder), *to, "--sources", str(lines), "--out", str(earlier)]) == 0
    sources = lines.read_text().splitlines()
    before, expected = _digests(earlier), load(earlier, threads=1).translate(sources)
    done = subprocess.run(
        [sys.executable, "-c", CHILDREN, str(folder), str(shelf), str(lines), json.dumps(asked)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    with capfd.disabled():
        print("\n" + "\n".join(f"{asked[-1]}: killed before {item['moment']}: {item['what']}" for item in found))
    assert len(found) >= 6
    for item in found:
        assert item["status"] == -signal.SIGKILL
        left = tmp_path / f"after-{item['moment']}"
        if not item["swapped"]:
            assert _digests(left) == before
            assert load(left, threads=1).translate(sources) == expected
    (swapped,) = [tmp_path / f"after-{item['moment']}" for item in found if item["swapped"]]
    new = tmp_path / "again"
    assert _digests(swapped).keys() == _digests(new).keys()
    assert read_export(swapped) == read_export(new) != read_export(earlier)
    assert load(swapped, threads=1).translate(sources) == load(new, threads=1).translate(sources)
