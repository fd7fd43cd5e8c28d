"""Greedy and beam search against transformers' `generate`, over one model's scores: no graph is in between."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from zoo.export.runtime.beam import beam
from zoo.export.runtime.greedy import greedy
from zoo.export.runtime.settings import Search
from zoo.measure.generation import generated_lengths
from zoo.models import assemble
from zoo.models.decoding import run_generate
from zoo.spec import resolve_model

SECTION: dict[str, Any] = {
    "d_model": 16,
    "heads": 2,
    "encoder": {"layers": 1},
    "decoder": {"layers": 1},
    "position": "rotary",
    "block": "pre-norm",
    "normalization": "layer-norm",
    "feedforward": {"use": "mlp", "width": 24, "activation": "relu"},
    "fusion": "top",
    "tie_embeddings": "none",
    "max_positions": 64,
}
VOCABULARY = 300
START, END, LONGEST = 0, 1, 14
SOURCES = 50


@pytest.fixture(scope="module")
def model() -> Any:
    """Untrained, but sure of itself, so that outputs differ, and with an end that comes now and then."""
    made = assemble(resolve_model(SECTION), VOCABULARY, seed=5).eval()
    with torch.no_grad():
        for matrix in made.parameters():
            if matrix.ndim == 2:
                matrix.mul_(2.0)
        made.lm_head.weight[END] *= 2.0
    return made


@pytest.fixture(scope="module")
def batch() -> dict[str, torch.Tensor]:
    """Sources of 1 to 9 tokens, padded."""
    draw = torch.Generator().manual_seed(11)
    lengths = torch.randint(1, 10, (SOURCES,), generator=draw)
    mask = (torch.arange(9) < lengths[:, None]).long()  # [B, S]
    ids = torch.randint(4, VOCABULARY, (SOURCES, 9), generator=draw)
    return {"input_ids": ids * mask, "attention_mask": mask}


class TorchSteps:
    """`Steps` that compute all anew each time."""

    def __init__(self, model: Any, batch: dict[str, torch.Tensor]) -> None:
        self.model = model
        self.read = model.encoder(**batch).last_hidden_state  # [B, S, D]
        self.mask = batch["attention_mask"]
        self.written = torch.full((len(self.mask), 1), START)  # [R, 1 + T]
        self.rows: list[int] = []
        """How many rows each step had."""

    def logits(self) -> Any:
        self.rows.append(len(self.written))
        decoded = self.model.decoder(self.written, None, self.read[:, None], self.mask, None)
        return self.model._logits(decoded.last_hidden_state)[:, -1].numpy().copy()

    def advance(self, tokens: Any) -> Any:
        self.written = torch.cat((self.written, torch.from_numpy(tokens)[:, None]), dim=1)
        return self.logits()

    def keep(self, rows: Any) -> None:
        self.written, self.read, self.mask = self.written[rows], self.read[rows], self.mask[rows]

    def reorder(self, rows: Any) -> None:
        assert torch.equal(self.mask[rows], self.mask)
        self.written = self.written[rows]


def searched(model: Any, batch: dict[str, torch.Tensor], **options: Any) -> tuple[list[list[int]], list[int]]:
    search = Search(start=START, end=END, max_new_tokens=LONGEST, **options)
    with torch.no_grad():
        steps = TorchSteps(model, batch)
        return (greedy if search.width == 1 else beam)(steps, search), steps.rows


def generated(model: Any, batch: dict[str, torch.Tensor], **settings: Any) -> list[list[int]]:
    with torch.no_grad():
        ids = run_generate(model, batch, settings, max_new_tokens=LONGEST)
    lengths, _ = generated_lengths(ids, END)
    return [row[1 : 1 + length].tolist() for row, length in zip(ids, lengths, strict=True)]


CONSTRAINED = {"no_repeat_ngram": 2, "repetition_penalty": 1.3, "min_new_tokens": 3}
RUNS = [(START, 5), *((first, second) for first in range(2, 300, 3) for second in range(2, 300, 2))]
"""Runs of two tokens, of which one in six is."""
OF_TRANSFORMERS = {"no_repeat_ngram_size": 2, "repetition_penalty": 1.3, "min_new_tokens": 3}


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {}),
        (CONSTRAINED, OF_TRANSFORMERS),
        ({"width": 4}, {"num_beams": 4}),
        ({"width": 2, "length_penalty": 0.0}, {"num_beams": 2, "length_penalty": 0.0}),
        (
            {"width": 3, "length_penalty": 2.0, "early_stopping": True},
            {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True},
        ),
        ({"width": 4, **CONSTRAINED}, {"num_beams": 4, **OF_TRANSFORMERS}),
        (
            {"width": 2, "forced_first": 7, "forced_last": END, "banned": (START, 9)},
            {"num_beams": 2, "forced_bos_token_id": 7, "forced_eos_token_id": END, "bad_words_ids": [[START], [9]]},
        ),
        ({"banned_runs": RUNS}, {"bad_words_ids": [list(run) for run in RUNS]}),
        (
            {"width": 3, "renormalize": True, "banned": tuple(range(2, 150))},
            {"num_beams": 3, "renormalize_logits": True, "bad_words_ids": [[token] for token in range(2, 150)]},
        ),
    ],
    ids=[
        "greedy",
        "greedy constrained",
        "beam",
        "beam unnormalised",
        "beam early",
        "beam constrained",
        "beam forced",
        "greedy without runs",
        "beam renormalised",
    ],
)
def test_the_ids_are_those_of_generate(model: Any, batch: Any, options: Any, settings: Any) -> None:
    ours, _ = searched(model, batch, **options)
    assert ours == generated(model, batch, **settings)
    assert len({tuple(row) for row in ours}) > 5


def test_some_outputs_end_and_some_meet_the_limit(model: Any, batch: Any) -> None:
    """Else the tests above would say nothing of one or the other."""
    for options in ({}, {"width": 4}):
        ours, _ = searched(model, batch, **options)
        ended = sum(row[-1] == END for row in ours)
        assert SOURCES / 5 < ended < SOURCES
        assert len({len(row) for row in ours}) > 4


@pytest.mark.parametrize(
    "options", [{}, {"width": 2, "early_stopping": True}, {"width": 2, "length_penalty": 0.0}], ids=str
)
def test_rows_that_are_done_leave_the_batch(model: Any, batch: Any, options: Any) -> None:
    _, rows = searched(model, batch, **options)
    width = options.get("width", 1)
    assert rows[0] == SOURCES
    assert rows[1] == SOURCES * width
    assert rows[-1] < 0.85 * rows[1]
    assert all(later <= earlier for earlier, later in pairwise(rows[1:]))


def test_scores_that_are_log_probabilities_are_taken_as_they_are() -> None:
    """Normalised they would say that both first tokens are alike; as they are, the one that goes on better wins."""

    class Two:
        """Token 2 or 3, then the end: behind 2 all scores are one lower, so that normalising hides the difference."""

        def logits(self) -> Any:
            return np.array([[-9.0, -9.0, -1.0, -1.1]], np.float32)

        def keep(self, rows: Any) -> None:
            assert len(rows) == 2

        def reorder(self, rows: Any) -> None:
            pass

        def advance(self, tokens: Any) -> Any:
            scores = np.full((2, 4), -9.0, np.float32)
            scores[:, END] = np.where(tokens == 2, -3.0, -2.0)
            return scores

    options: dict[str, Any] = {"start": START, "end": END, "max_new_tokens": 2, "width": 2}
    assert beam(Two(), Search(log_probabilities=True, **options)) == [[3, END]]
    assert beam(Two(), Search(**options)) == [[2, END]]
