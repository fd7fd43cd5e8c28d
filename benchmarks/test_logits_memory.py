"""What `training.logits_chunk` saves: peak memory of one step over a large vocabulary, in a fresh process each.

With ``--benchmark`` a step by chunks must not grow its process by more than LIMIT of what one with all logits at once
does, in one run. Without it both take a tiny step, so that the benchmark cannot rot.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import pytest
import torch
from pydantic import TypeAdapter

from zoo.measure.memory import peak_resident_bytes, resident_bytes
from zoo.models import assemble
from zoo.spec.model_section import ModelSection
from zoo.spec.options import Chosen, Slot
from zoo.training.contracts import LossContext, TokenLoss
from zoo.training.data.collate import PairBatch
from zoo.training.losses.loss import micro_batch_objective

LIMIT = 0.2
"""Growth of the process by chunks, in that with all logits at once, on a CPU; on a GPU of what is allocated there."""


@dataclass(frozen=True)
class Size:
    """How large the model and its batch are."""

    vocabulary: int
    width: int
    rows: int
    length: int
    chunk: int


MEASURED = Size(vocabulary=50_265, width=64, rows=16, length=128, chunk=64)
SMOKE = Size(vocabulary=50, width=16, rows=2, length=5, chunk=3)

OBJECTIVES: TypeAdapter[Chosen] = TypeAdapter(Annotated[Chosen, Slot("token-loss")])


class Step:
    """Forward and backward of one micro-batch of one layer each side."""

    def __init__(self, size: Size) -> None:
        section = {
            "d_model": size.width,
            "heads": 2,
            "encoder": {"layers": 1},
            "decoder": {"layers": 1},
            "position": "zoo-positional/sinusoidal",
            "block": "zoo-blocks/pre-norm",
            "normalization": "zoo-blocks/layer-norm",
            "feedforward": {"use": "zoo-blocks/mlp", "activation": "zoo-blocks/relu"},
            "fusion": "zoo-fusion/top",
            "dropout": 0.0,
        }
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model: Any = assemble(ModelSection.model_validate(section), size.vocabulary, seed=1)
        self.model = model.to(self.device).train()
        chosen: Chosen = OBJECTIVES.validate_python("zoo-objectives/label-smoothing")
        self.objective: TokenLoss = chosen.create()
        self.size = size

    def __call__(self, rows: int, chunk: int | None) -> float:
        """The loss per token of a step over so many rows."""
        draw = torch.Generator().manual_seed(0)
        ids = torch.randint(4, self.size.vocabulary, (rows, self.size.length), generator=draw)
        count = ids.numel()
        batch = PairBatch(
            input_ids=ids,
            attention_mask=None,
            decoder_input_ids=ids,
            labels=ids,
            real=None,
            target_tokens=count,
            source_tokens=count,
        ).to(self.device)
        self.model.zero_grad(set_to_none=True)
        loss = micro_batch_objective(
            self.objective,
            self.model,
            batch,
            LossContext(step=0, total_steps=1),
            device=self.device,
            precision=torch.float32,
            chunk=chunk,
        )
        (loss / count).backward()
        return loss.item() / count


@dataclass(frozen=True)
class Reading:
    """What a process found of its step."""

    bytes: int
    seconds: float
    loss: float


def measured(chunk: int | None) -> Reading:
    """In this process, which has done nothing else: by how much it grows at its peak in one step."""
    torch.set_num_threads(1)
    step = Step(MEASURED)
    step(1, 16)  # kernels are loaded, and the gradients have their places
    cuda = step.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if cuda else resident_bytes()
    begun = time.perf_counter()
    loss = step(MEASURED.rows, chunk)
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - begun
    peak = torch.cuda.max_memory_allocated() if cuda else peak_resident_bytes()
    return Reading(peak - before, seconds, loss)


def in_a_process(chunk: int | None) -> Reading:
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(chunk)], capture_output=True, text=True, check=True, timeout=600
    )
    return Reading(**json.loads(done.stdout))


def test_a_step_by_chunks_needs_a_fifth_of_the_memory(
    request: pytest.FixtureRequest, one_thread: None, say: Callable[[str], None]
) -> None:
    if not request.config.getoption("--benchmark", False):
        step = Step(SMOKE)
        assert step(SMOKE.rows, SMOKE.chunk) == pytest.approx(step(SMOKE.rows, None), rel=1e-5)
        return
    whole, chunked = in_a_process(None), in_a_process(MEASURED.chunk)
    ratio = chunked.bytes / whole.bytes
    mega = 2**20
    say(
        f"a step over {MEASURED.rows * MEASURED.length} tokens x {MEASURED.vocabulary} classes, {MEASURED.chunk} at a "
        f"time: {chunked.bytes / mega:,.0f} MB against {whole.bytes / mega:,.0f} MB ({ratio:.2f}), "
        f"{chunked.seconds:.1f} s against {whole.seconds:.1f} s"
    )
    assert chunked.loss == pytest.approx(whole.loss, rel=1e-5)
    assert ratio <= LIMIT


if __name__ == "__main__":
    print(json.dumps(asdict(measured(json.loads(sys.argv[1])))))
