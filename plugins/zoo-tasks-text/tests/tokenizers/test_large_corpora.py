"""Tokenizers learn from corpora larger than memory: from a sample of bounded size."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from zoo_tasks_text.tokenizers import bpe, byte_level, unigram, word
from zoo_tasks_text.tokenizers.options import ByteLevelOptions, TokenizerOptions, WordOptions
from zoo_tasks_text.tokenizers.vocabulary import sampled

from zoo.testing.tasks import sample_texts

TRAINERS = {
    "unigram": (unigram.Unigram, TokenizerOptions),
    "bpe": (bpe.Bpe, TokenizerOptions),
    "byte-level": (byte_level.ByteLevel, ByteLevelOptions),
    "word": (word.Word, WordOptions),
}
SLACK = 24 * 2**20
"""What the allocator and the libraries keep from one training to the next."""
LINES = 150_000

# Peak memory of training on many lines, less what training on few of them left.
TRAIN = """
import json, random, sys
from pathlib import Path
from zoo_tasks_text.tokenizers import bpe, byte_level, unigram, word
from zoo_tasks_text.tokenizers.options import ByteLevelOptions, TokenizerOptions, WordOptions

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))

def texts(count):
    draw = random.Random(1)
    for _ in range(count):
        # A run of ideographs is one word to a trainer: no two are the same.
        yield "".join(chr(0x4E00 + draw.getrandbits(7)) for _ in range(40)) + f" {draw.getrandbits(200):x}"

found = {}
for trainer, model in ((unigram.Unigram, TokenizerOptions), (bpe.Bpe, TokenizerOptions),
                       (byte_level.ByteLevel, ByteLevelOptions), (word.Word, WordOptions)):
    options = model(vocab_size=400 if model is not WordOptions else 150, max_lines=1000)
    trainer(options).train(texts(2000))
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    trainer(options).train(texts(int(sys.argv[1])))
    found[trainer.__name__] = status("VmHWM") - before
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the peak that Linux keeps")
def test_memory_does_not_grow_with_the_corpus() -> None:
    process = subprocess.run([sys.executable, "-c", TRAIN, str(LINES)], capture_output=True, text=True, check=True)
    found = json.loads(process.stdout)
    assert len(found) == 4
    assert max(found.values()) < SLACK < LINES * 200, found


def test_a_sample_is_of_the_size_asked_for_in_order_and_the_same_every_time() -> None:
    texts = [f"{number:05}" for number in range(5000)]
    blank = ["", "  ", *texts, "\n"]
    found = sampled(iter(blank), 100)
    assert found == sorted(found) == sampled(iter(blank), 100)
    assert len(set(found)) == 100
    assert sampled(iter(blank), 5000) == texts


def test_every_text_is_as_likely_to_be_drawn() -> None:
    counts = Counter(int(text) // 10_000 for text in sampled(map(str, range(100_000)), 10_000))
    assert all(850 <= counts[tenth] <= 1150 for tenth in range(10))  # 5 deviations of 30


@pytest.mark.parametrize("name", TRAINERS)
def test_the_option_bounds_what_is_learned_from(name: str) -> None:
    trainer, options = TRAINERS[name]
    texts, size = sample_texts(), {"byte-level": 280, "word": 50}.get(name, 150)
    found = [
        trainer(options(vocab_size=size, **more)).train(iter(given)).backend_tokenizer.to_str()
        for given, more in ((texts, {"max_lines": 100}), (sampled(texts, 100), {}), (texts, {}))
    ]
    assert found[0] == found[1] != found[2]
