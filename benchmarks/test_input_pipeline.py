"""The input pipeline must not be the bottleneck: its tokens a second against those that a model trains on.

With ``--benchmark`` model and pipeline are timed in turn in one process, on the same batches, and the pipeline must be
at least LIMIT times as fast beyond noise. Without it each is run once, so that the benchmark cannot rot.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.bench.replay import Replay
from zoo.spec import Spec, load_spec
from zoo.tasks import DataHome, Example
from zoo.training import Prepared, prepare
from zoo.training.building import assemble_for
from zoo.training.components import Components
from zoo.training.contracts import LossContext
from zoo.training.data.collate import Batch, Collator
from zoo.training.data.encoded import encoded_pairs
from zoo.training.data.loader import Loader, Share, batches_for
from zoo.training.data.ragged import EncodedPairs
from zoo.training.losses.loss import objective_sum, real_logits

SPECS = Path(__file__).parent / "specs"
LIMIT = 5.0
"""Tokens that the pipeline makes in the time in which the quickstart's model consumes one."""

ROUNDS = 21
LOW = 5
"""The rank below the median of 21 that bounds it with 97.3 % confidence: binomial(21, 1/2) falls in 6..15."""
STEPS = 20
"""Micro-batches that the model takes a round."""
MADE = 200
"""Micro-batches that the pipeline makes a round: more than five epochs, so that the shuffling of an epoch counts."""
CLOCK = Replay()

pytestmark = pytest.mark.usefixtures("one_thread")  # the pipeline has one, and so has the model beside it


@pytest.fixture
def measuring(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--benchmark", False))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> DataHome:
    return DataHome(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec(SPECS / "smoke.yaml")


@pytest.fixture(scope="module")
def prepared(spec: Spec, home: DataHome) -> Prepared:
    return prepare(spec, home)


@pytest.fixture(scope="module")
def pairs(spec: Spec, prepared: Prepared, home: DataHome) -> EncodedPairs:
    return _encoded(spec, prepared, home, prepared.task.revision)


def _encoded(spec: Spec, prepared: Prepared, home: DataHome, revision: str) -> EncodedPairs:
    examples: list[Example] = list(prepared.task.examples("train"))
    return encoded_pairs(home, revision, "train", prepared.tokenizers, lambda: examples, spec.training.max_tokens)


class Consumer:
    """The quickstart's model in training, on batches that lie ready."""

    def __init__(self, spec: Spec, prepared: Prepared, batches: list[Batch]) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = assemble_for(spec, prepared).to(self._device).train()
        self._parts = Components.build(spec.training, self._model)
        self._batches = [batch.to(self._device) for batch in batches]
        self._context = LossContext(step=1, total_steps=spec.training.steps)

    def __call__(self) -> int:
        for batch in self._batches:
            logits = real_logits(self._model, batch, use_cache=False)
            loss = objective_sum(self._parts.objective, logits, batch.targets(), self._context)
            (loss / batch.target_tokens).backward()
            self._parts.clipping.clip(self._parts.parameters)
            self._parts.optimizer.step()
            self._parts.optimizer.zero_grad()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return _tokens(self._batches)


def _tokens(batches: list[Batch]) -> int:
    return sum(batch.source_tokens + batch.target_tokens for batch in batches)


def _speed(run: Callable[[], int]) -> float:
    """Tokens a second."""
    begun = time.perf_counter()
    return run() / (time.perf_counter() - begun)


def _ratios(ours: Callable[[], int], consumer: Callable[[], int]) -> tuple[list[float], list[float], list[float]]:
    """Our speed in the consumer's, round by round, each first every other round; and both speeds."""
    ratios, mine, theirs = [], [], []
    for round_ in range(-2, ROUNDS):
        order = (ours, consumer) if round_ % 2 else (consumer, ours)
        found = {run: _speed(run) for run in order}
        if round_ >= 0:  # the first two warm up
            ratios.append(found[ours] / found[consumer])
            mine.append(found[ours])
            theirs.append(found[consumer])
    return ratios, mine, theirs


def _report(request: pytest.FixtureRequest, what: str, found: tuple[list[float], list[float], list[float]]) -> float:
    """Print and hand over the ratios; returns the lower end of the median's confidence interval."""
    ratios, mine, theirs = found
    low = sorted(ratios)[LOW]
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(
            f"\n{what}: {statistics.median(ratios):.1f} [at least {low:.1f}] times the model's speed "
            f"({statistics.median(mine):,.0f} against {statistics.median(theirs):,.0f} tokens/s)"
        )
    if request.config.pluginmanager.hasplugin("benchmark"):
        benchmark: Any = request.getfixturevalue("benchmark")
        benchmark.extra_info["ratio_to_training"] = statistics.median(ratios)
        CLOCK.feed(benchmark, [1 / speed for speed in mine])
    return low


def _loader(spec: Spec, pairs: EncodedPairs, packing: bool, workers: int, count: int) -> Loader:
    batches = batches_for(pairs, spec.training.batch_tokens, 1, packing=packing)
    return Loader(pairs, batches, Collator(pairs, pad_id=0, start_id=0), count, workers=workers)


def _shares(loader: Loader) -> Iterator[Share]:
    """Its micro-batches, one a step."""
    with closing(iter(loader)) as steps:
        for step in steps:
            yield from step.shares


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("packing", [False, True], ids=["padded", "packed"])
def test_batches_are_made_faster_than_a_model_consumes_them(request, measuring, spec, prepared, pairs, packing):
    """Batching, the shuffling of each epoch included, and collating, from ids on disk."""
    loader = _loader(spec, pairs, packing, 0, STEPS if measuring else 1)
    consumer = Consumer(spec, prepared, [share.batch for share in _shares(loader)])
    many = _loader(spec, pairs, packing, 0, MADE)

    def pipeline() -> int:
        return sum(share.tokens for share in _shares(many))

    if not measuring:
        assert consumer() > 0
        assert pipeline() > 5 * sum(len(side.ids) for side in pairs.sides)
        return
    name = "packed" if packing else "padded"
    assert _report(request, f"batching and collating, {name}", _ratios(pipeline, consumer)) >= LIMIT


@pytest.mark.benchmark(timer=CLOCK)
def test_examples_are_encoded_faster_than_a_model_consumes_them(request, measuring, spec, prepared, pairs, home):
    """Tokenizing, and writing to disk: what a first run does once, and later ones find."""
    batches = [share.batch for share in _shares(_loader(spec, pairs, False, 0, STEPS if measuring else 1))]
    consumer, number = Consumer(spec, prepared, batches), itertools.count()

    def encode() -> int:
        made = _encoded(spec, prepared, home, f"round {next(number)}")
        return sum(len(side.ids) for side in made.sides)

    if not measuring:
        assert encode() == sum(len(side.ids) for side in pairs.sides)
        return
    assert _report(request, "tokenizing and writing", _ratios(encode, consumer)) >= LIMIT


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("workers", [1, 2])
def test_what_workers_make(request, measuring, spec, prepared, pairs, workers):
    """No promise: what a worker costs is the way of a batch from one process to another."""
    if not measuring:
        pytest.skip("starting workers takes seconds; tests/training/test_workers.py does")
    consumer = Consumer(spec, prepared, [share.batch for share in _shares(_loader(spec, pairs, False, 0, STEPS))])
    with_workers = _shares(_loader(spec, pairs, False, workers, (ROUNDS + 3) * MADE))
    next(with_workers)  # they have started

    def pipeline() -> int:
        return sum(share.tokens for share in itertools.islice(with_workers, MADE))

    _report(request, f"batching and collating by {workers} worker(s)", _ratios(pipeline, consumer))
    with_workers.close()
