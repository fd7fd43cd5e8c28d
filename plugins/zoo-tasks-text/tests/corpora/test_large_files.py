"""The user's own text when it is large: little memory, and no harm from a kill."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from zoo_tasks_text.corpora.files import FilesCorpus
from zoo_tasks_text.corpora.options import FilesOptions

from zoo.tasks import DataHome

PAIRS = 200_000
"""Their texts take twice the bound."""
BOUND = 90
"""Bytes a pair that `zoo_tasks_text.corpora.separation` states as its peak."""
SLACK = 24 * 2**20
"""Modules that are imported on the way, buffers, and what the allocator keeps."""

# What the process holds at its highest, less what it held before (VmHWM can be reset, unlike getrusage's).
PREPARE = """
import json, sys
from pathlib import Path
from zoo_tasks_text.corpora.files import FilesCorpus
from zoo_tasks_text.corpora.options import FilesOptions
from zoo.tasks import DataHome

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))

def grown(work):
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    result = work()
    return result, status("VmHWM") - before

corpus = FilesCorpus(FilesOptions.model_validate(json.loads(sys.argv[2])))
home = DataHome(Path(sys.argv[1]))
prepared, preparing = grown(lambda: corpus.prepare(home))
count, reading = grown(lambda: sum(1 for _ in prepared.pairs("train")))
print(json.dumps({"preparing": preparing, "reading": reading, "count": count}))
"""
KILLED = "import sys; from zoo.cli.main import main; sys.exit(main(sys.argv[1:]))"


def write(path: Path, pairs: int, words: int) -> None:
    """Distinct pairs of made-up words."""
    draw = random.Random(3)
    with path.open("w", encoding="utf-8") as stream:
        for number in range(pairs):
            name = "".join(chr(97 + digit % 26) for digit in (number, number // 26, number // 676, number // 17576))
            sentence = " ".join(f"{draw.getrandbits(40):x}" for _ in range(words))
            stream.write(f"文{name} {sentence}\ttext {name} {sentence}\n")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the peak that Linux keeps")
def test_memory_grows_by_bytes_a_pair_whatever_the_texts_hold(tmp_path):
    train = tmp_path / "train.tsv"
    write(train, PAIRS, 12)
    assert train.stat().st_size > 50 * 2**20 > PAIRS * BOUND + SLACK
    options = json.dumps({"name": "big", "languages": ["zh", "en"], "train": str(train)})
    process = subprocess.run(
        [sys.executable, "-c", PREPARE, str(tmp_path / "home"), options], capture_output=True, text=True, check=True
    )
    found = json.loads(process.stdout)
    assert found["count"] > 0.9 * PAIRS
    assert found["preparing"] < PAIRS * BOUND + SLACK
    assert found["reading"] < SLACK


@pytest.mark.slow
def test_killed_at_any_moment_the_next_run_gives_the_same_corpus(tmp_path):
    train = tmp_path / "train.tsv"
    write(train, 20_000, 12)
    options = {"name": "big", "languages": ["zh", "en"], "train": str(train)}
    corpus = FilesCorpus(FilesOptions.model_validate(options))
    expected = corpus.prepare(DataHome(tmp_path / "undisturbed")).revision
    home = DataHome(tmp_path / "home")
    sets = [part for name in ("name=big", "languages=[zh, en]", f"train={train}") for part in ("--set", name)]
    command = [sys.executable, "-c", KILLED, "data", "prepare", "parallel-files", *sets]
    environment = {**os.environ, "ZOO_HOME": str(home.root)}
    begun = time.monotonic()
    subprocess.run(command, env={**environment, "ZOO_HOME": str(tmp_path / "timed")}, check=True, capture_output=True)
    length = time.monotonic() - begun
    for moment in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(moment * length)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = corpus.find(home)
        assert found is None or found.revision == expected
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert expected in done.stdout
    assert not list((home.corpora / "big").glob(".tmp-*"))
