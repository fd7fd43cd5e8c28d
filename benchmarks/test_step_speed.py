"""Our models against transformers' MarianMTModel of the same size: one training step, and generation.

With ``--benchmark`` the two are timed in turn in one process, and the ratio of their times must not lie above its
limit beyond noise. Without it one step of a tiny model is made, so that the benchmark cannot rot.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from transformers import MarianConfig, MarianMTModel

from zoo.bench.replay import Replay
from zoo.models import ZooForConditionalGeneration, assemble
from zoo.spec.model_section import ModelSection

ROUNDS = 21
LOW, HIGH = 5, 15
"""Ranks that enclose the median of 21 with 97.3 % confidence: binomial(21, 1/2) falls in 6..15."""

HEADS = 4
CLOCK = Replay()
"""Hands pytest-benchmark the seconds measured here: it cannot time two things in turn."""


@dataclass(frozen=True)
class Size:
    """How large the compared models and their batch are."""

    vocabulary: int
    width: int
    layers: int
    batch: int
    length: int


MEASURED = Size(vocabulary=8000, width=256, layers=3, batch=16, length=40)
SMOKE = Size(vocabulary=50, width=32, layers=1, batch=4, length=8)

STEP_LIMITS = {"sinusoidal": 1.0, "rotary": 1.1, "alibi": 1.15}
"""Largest allowed time of a training step, in MarianMTModel's."""

GENERATION_LIMIT = 1.0


def _ours(position: str, size: Size) -> ZooForConditionalGeneration:
    section = {
        "d_model": size.width,
        "heads": HEADS,
        "encoder": {"layers": size.layers},
        "decoder": {"layers": size.layers},
        "position": f"zoo-positional/{position}",
        "block": "zoo-blocks/post-norm",
        "normalization": "zoo-blocks/layer-norm",
        "feedforward": {"use": "zoo-blocks/mlp", "width": 4 * size.width, "activation": "zoo-blocks/relu"},
        "fusion": "zoo-fusion/top",
        "dropout": 0.1,
    }
    return assemble(ModelSection.model_validate(section), size.vocabulary, seed=1)


def _marian(size: Size) -> MarianMTModel:
    return MarianMTModel(
        MarianConfig(
            vocab_size=size.vocabulary,
            d_model=size.width,
            encoder_layers=size.layers,
            decoder_layers=size.layers,
            encoder_attention_heads=HEADS,
            decoder_attention_heads=HEADS,
            encoder_ffn_dim=4 * size.width,
            decoder_ffn_dim=4 * size.width,
            activation_function="relu",
            dropout=0.1,
            attention_dropout=0.0,
            scale_embedding=True,
            max_position_embeddings=512,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=2,
            decoder_start_token_id=0,
            forced_eos_token_id=None,
        )
    )


def _batch(padded: bool, size: Size) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    source, labels = (torch.randint(4, size.vocabulary, (size.batch, size.length), generator=draw) for _ in range(2))
    mask = torch.ones_like(source)
    if padded:
        for row in range(size.batch):
            mask[row, size.length - row :] = 0
            labels[row, size.length - row :] = -100
    return {"input_ids": source * mask, "attention_mask": mask, "labels": labels}


def _seconds(run: Callable[[], Any]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Comparison:
    """Our time in theirs, round by round, and our seconds."""

    ratios: list[float]
    seconds: list[float]

    @property
    def low(self) -> float:
        """The lower end of the median's confidence interval."""
        return sorted(self.ratios)[LOW]

    def __str__(self) -> str:
        ratios = sorted(self.ratios)
        middle = statistics.median(self.seconds) * 1000
        return (
            f"{statistics.median(ratios):.3f} [{ratios[LOW]:.3f}, {ratios[HIGH]:.3f}] of Marian's time, {middle:.0f} ms"
        )


def _compare(ours: Callable[[], Any], theirs: Callable[[], Any]) -> Comparison:
    """Time the two in turn, each first every other round."""
    ratios, seconds = [], []
    for round_ in range(-2, ROUNDS):
        order = (ours, theirs) if round_ % 2 else (theirs, ours)
        taken = {run: _seconds(run) for run in order}
        if round_ >= 0:  # the first two warm up
            ratios.append(taken[ours] / taken[theirs])
            seconds.append(taken[ours])
    return Comparison(ratios, seconds)


def _step(model: Any, batch: dict[str, torch.Tensor]) -> Callable[[], None]:
    def step() -> None:
        model.zero_grad(set_to_none=True)
        model(**batch).loss.backward()

    return step


def _generate(model: Any, batch: dict[str, torch.Tensor], beams: int) -> Callable[[], None]:
    source = {name: item[:4] for name, item in batch.items() if name != "labels"}

    def generate() -> None:
        model.generate(**source, max_new_tokens=20, min_new_tokens=20, num_beams=beams, do_sample=False)

    return generate


def _report(request: pytest.FixtureRequest, what: str, found: Comparison) -> None:
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\n{what}: {found}")
    if request.config.pluginmanager.hasplugin("benchmark"):
        benchmark = request.getfixturevalue("benchmark")
        benchmark.extra_info["ratio_to_marian"] = statistics.median(found.ratios)
        CLOCK.feed(benchmark, found.seconds)


@pytest.fixture
def measuring(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--benchmark", False))


@pytest.fixture
def size(measuring: bool) -> Size:
    return MEASURED if measuring else SMOKE


@pytest.fixture(params=[1, 2], ids=["1-thread", "2-threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("position", STEP_LIMITS)
def test_training_step(request, measuring, size, position, padded, threads):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = {name: item.to(device) for name, item in _batch(padded, size).items()}
    models = _ours(position, size), _marian(size)
    ours, theirs = (_step(model.to(device).train(), batch) for model in models)
    if not measuring:
        ours()
        return
    found = _compare(ours, theirs)
    _report(request, f"step, {position}, {'padded' if padded else 'full'}, {threads} thread(s)", found)
    assert found.low <= STEP_LIMITS[position]


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("beams", [1, 4], ids=["greedy", "beam-4"])
def test_generation(request, measuring, size, beams):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = {name: item.to(device) for name, item in _batch(True, size).items()}
    models = _ours("sinusoidal", size), _marian(size)
    ours, theirs = (_generate(model.to(device).eval(), batch, beams) for model in models)
    if not measuring:
        ours()
        return
    found = _compare(ours, theirs)
    _report(request, f"generation, sinusoidal, {beams} beam(s)", found)
    assert found.low <= GENERATION_LIMIT
