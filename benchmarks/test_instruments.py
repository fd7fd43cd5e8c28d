"""The instruments against others, and against what is known, in one run. With ``--benchmark``; each reports its figure.

| instrument | against | within |
|---|---|---|
| end-to-end latency | torch.utils.benchmark, same module | 3% |
| encoder + tokens x decoder | the same generation whole | 5% |
| peak memory of a process | an allocation of known size | 1% |
| fresh processes in turn | the same model | noise |
| device time | triton.testing.do_bench, large matrix product | 3% |
| device time | a kernel of k and of 2k cycles | 2% |
"""

from __future__ import annotations

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.measure.device_time import device_times
from zoo.measure.generation import evaluating, generate_ids
from zoo.measure.interleaved import compared, interleaved
from zoo.measure.latency import timed_calls
from zoo.measure.performance import measure_clocks, pooled_clocks, probe_request
from zoo.measure.split import split_times
from zoo.measure.warmup import warm_up
from zoo.models import assemble
from zoo.models.tokenizers import Tokenizers
from zoo.spec import load_spec
from zoo.spec.model_section import ModelSection
from zoo.spec.sections import DecodingSection
from zoo.tasks import DataHome
from zoo.training import build

SMOKE = Path(__file__).parent / "specs" / "smoke.yaml"
ROUNDS = 21
LOW, HIGH = 5, 15
"""Ranks that enclose the median of 21 with 97.3 % confidence: binomial(21, 1/2) falls in 6..15."""
GPU = torch.device("cuda", 0)
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(autouse=True)
def measuring(request: pytest.FixtureRequest) -> Iterator[None]:
    if not request.config.getoption("--benchmark", False):
        pytest.skip("measured with --benchmark; tests/measure/ holds the quick tests")
    gc.collect()
    gc.freeze()  # each instrument collects before it times: not all that a test session holds, every time
    yield
    gc.unfreeze()


@dataclass(frozen=True)
class Agreement:
    """Ours / theirs: of the least that either ever took, and the median over the rounds with its interval."""

    ratio: float
    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.4f} (round by round {self.median:.4f} [{self.low:.4f}, {self.high:.4f}])"


def agreement(ours: Callable[[], float], theirs: Callable[[], float]) -> Agreement:
    """Measured in turn, each first every other round.

    What other processes on this machine add to either is not what is compared: the least of all rounds is.
    """
    pairs = []
    for round_ in range(-2, ROUNDS):
        order = (ours, theirs) if round_ % 2 else (theirs, ours)
        taken = {measure: measure() for measure in order}
        if round_ >= 0:  # the first two warm up
            pairs.append((taken[ours], taken[theirs]))
    ratios = sorted(mine / other for mine, other in pairs)
    least = min(mine for mine, _ in pairs) / min(other for _, other in pairs)
    return Agreement(least, statistics.median(ratios), ratios[LOW], ratios[HIGH])


def test_latency_is_that_of_torchs_own_timer(one_thread: None, say: Callable[[str], None]) -> None:
    from torch.utils.benchmark import Timer

    module = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    x = torch.randn(1, 16, 64)
    timer = Timer("module(x)", globals={"module": module, "x": x}, num_threads=1)
    with torch.no_grad():
        warm_up(module, [x], at_least=20)
        found = agreement(
            lambda: timed_calls(module, [x], samples=300).minimum,
            lambda: min(timer.timeit(1).median for _ in range(300)),
        )
    say(f"latency: {found} of torch.utils.benchmark's")
    assert found.ratio == pytest.approx(1.0, abs=0.03)


def test_encoder_and_decoder_are_the_whole(one_thread: None, say: Callable[[str], None]) -> None:
    section = {
        "d_model": 64,
        "heads": 4,
        "encoder": {"layers": 4},
        "decoder": {"layers": 2},
        "position": "zoo-positional/sinusoidal",
        "block": "zoo-blocks/pre-norm",
        "normalization": "zoo-blocks/layer-norm",
        "feedforward": {"use": "zoo-blocks/mlp", "width": 128, "activation": "zoo-blocks/relu"},
        "fusion": "zoo-fusion/top",
    }
    model: Any = assemble(ModelSection.model_validate(section), 200, seed=1)
    tokenizer = FixedTokenizer(torch.randint(4, 200, (1, 24)), eos_token_id=int(model.config.eos_token_id))
    decoding = DecodingSection.model_validate({"strategy": "zoo-decoding/greedy", "max_new_tokens": 4})
    both = Tokenizers(tokenizer, tokenizer)
    encoded = tokenizer(["any"])

    def parts() -> float:
        split = split_times(model, both, ["any"], decoding, samples=30, max_source_tokens=512)
        sums = zip(split.encode.values, split.tokens, split.decode_per_token.values, strict=True)
        return min(encode + tokens * decode for encode, tokens, decode in sums)

    def whole() -> float:
        seconds = []
        for _ in range(30):
            start = time.perf_counter()
            generate_ids(model, encoded, ["any"], decoding)
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    with evaluating(model):
        found = agreement(parts, whole)
    say(f"encoder + tokens x decoder: {found} of the whole")
    assert found.ratio == pytest.approx(1.0, abs=0.05)


class FixedTokenizer:
    """Gives the same source whatever the text."""

    def __init__(self, ids: torch.Tensor, *, eos_token_id: int) -> None:
        self.ids, self.eos_token_id = ids, eos_token_id

    def __call__(self, texts: list[str], **_: Any) -> dict[str, torch.Tensor]:
        return {"input_ids": self.ids, "attention_mask": torch.ones_like(self.ids)}


def test_a_known_allocation_is_measured(say: Callable[[str], None]) -> None:
    script = (
        "from zoo.measure.memory import peak_resident_bytes\nimport torch\n"
        "torch.ones(300, 2**18).sum(); before = peak_resident_bytes()\n"
        "x = torch.ones(600, 2**18); print(peak_resident_bytes() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    share = int(done.stdout) / (300 * 2**20)
    say(f"a known allocation of 300 MB is measured as {share:.4f} of it")
    assert share == pytest.approx(1.0, abs=0.01)


def test_a_model_against_itself_raises_no_alarm(tmp_path: Path, say: Callable[[str], None]) -> None:
    """The real thing: fresh processes in turn. By the level chosen here, one run in a hundred is a false alarm."""
    spec = load_spec(SMOKE, ["decoding.max_new_tokens=8"])
    build(spec, tmp_path / "model", DataHome(tmp_path / "home"))
    request = probe_request(tmp_path / "model", ["tep tukni pikufsa risiy"], spec)
    sides = interleaved([lambda: measure_clocks(request)] * 2, 7)
    first, second = (pooled_clocks(side).quantities() for side in sides)
    found = compared(first, second, level=0.99)
    say(", ".join(f"{item.quantity} {item.ratio:.3f} {item.interval}: {item.verdict}" for item in found))
    assert {item.verdict for item in found} == {"within noise"}


@pytest.mark.gpu
@on_gpu
def test_device_time_is_that_of_tritons_do_bench(say: Callable[[str], None]) -> None:
    testing = pytest.importorskip("triton.testing")
    a, b = (torch.randn(8192, 8192, device=GPU, dtype=torch.bfloat16) for _ in range(2))

    def multiply(_: object = None) -> None:
        torch.mm(a, b)

    def ours() -> float:
        warm_up(multiply, [None], at_least=5, device=GPU)
        found = device_times(multiply, [None], samples=50, device=GPU, flush_cache=True)
        assert found is not None
        return found.median

    found = agreement(ours, lambda: testing.do_bench(multiply, return_mode="median") / 1000)
    say(f"device time: {found} of triton's do_bench")
    assert found.ratio == pytest.approx(1.0, abs=0.03)


@pytest.mark.gpu
@on_gpu
def test_twice_the_cycles_are_twice_the_device_time(say: Callable[[str], None]) -> None:
    cycles = 20_000_000
    warm_up(torch.cuda._sleep, [cycles], at_least=5, device=GPU)
    found = device_times(torch.cuda._sleep, [cycles, 2 * cycles], samples=200, device=GPU)
    assert found is not None
    ratio = statistics.median(found.values[1::2]) / statistics.median(found.values[0::2])
    say(f"a kernel of 2k cycles takes {ratio:.4f} times one of k")
    assert ratio == pytest.approx(2.0, rel=0.02)
