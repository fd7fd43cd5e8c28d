"""Shift, reversal and index against schemes whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from zoo_probes.index_r2 import moments, r_squared, shuffled
from zoo_probes.reversal import reversed_places

from zoo.errors import InputError
from zoo.probes.contracts import ProbeResult
from zoo.testing.tiny_model import WORDS, tiny_examples

Measure = Callable[..., ProbeResult]
EXACT = 1e-9
"""Rounding of float64 through two layers."""


@pytest.mark.parametrize(
    ("position", "moves"), [("none", False), ("alibi", False), ("rotary", False), ("sinusoidal", True)]
)
def test_only_absolute_schemes_notice_a_shift(make_model: Any, measure: Measure, position: str, moves: bool) -> None:
    found = measure("shift", make_model(position), offset=7)
    assert (found.scalars["difference"] > 0.05) is moves
    assert moves or found.scalars["difference"] < 1e-5
    layers = found.series["by_layer"].lines["mean over tokens"]
    assert len(layers) == 3
    assert layers[-1] == found.scalars["difference"]


def test_the_shift_of_embeddings_is_that_of_their_position_vectors(
    make_model: Any, measure: Measure, context: Any
) -> None:
    """Before the first layer: ||P(i + c) - P(i)|| / ||x + P(i)||, computed from the table itself."""
    model = make_model("learned")
    found = measure("shift", model, offset=3).series["by_layer"].lines["mean over tokens"][0]
    table = next(iter(model.encoder.position.parameters())).detach()
    embeddings = model.encoder.embed_tokens.weight.detach()
    ratios = []
    for batch in context(model).batches():
        for row, mask in zip(batch.input_ids, batch.attention_mask, strict=True):
            for place in range(int(mask.sum())):
                x = embeddings[row[place]] * model.encoder.scale
                ratios.append(float((table[place + 3] - table[place]).norm() / (x + table[place]).norm()))
    assert found == pytest.approx(np.mean(ratios), rel=1e-9)


def test_a_table_that_ends_before_the_offset_is_refused_before_training(make_model: Any, measure: Measure) -> None:
    with pytest.raises(InputError, match="moves positions by 64, but the encoder's table of positions ends at 64"):
        measure("shift", make_model("learned"), offset=64)
    assert measure("shift", make_model("learned"), offset=60).scalars["difference"] > 0


def test_symmetric_alibi_is_exactly_equivariant_to_reversal_and_sinusoids_are_not(
    make_model: Any, measure: Measure
) -> None:
    assert measure("reversal", make_model("alibi")).scalars["difference"] < 1e-6
    assert measure("reversal", make_model("none")).scalars["difference"] < EXACT
    assert measure("reversal", make_model("sinusoidal")).scalars["difference"] > 0.05
    # Rotary attention sees signed distances.
    assert measure("reversal", make_model("rotary")).scalars["difference"] > 1e-3


def test_reversal_turns_the_real_tokens_and_leaves_padding() -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    assert reversed_places(mask).tolist() == [[2, 1, 0, 3], [3, 2, 1, 0]]


class Counting(nn.Module):
    """An encoder whose states are a linear code of the index, beside noise of each token."""

    def __init__(self, code: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.code = code
        self.noise = nn.Embedding(40, 6)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, output_hidden_states: bool) -> Any:
        index = torch.arange(input_ids.shape[1]).expand_as(input_ids)[..., None].double()  # [B, S, 1]
        length = attention_mask.sum(-1)[:, None, None].expand_as(index).double()  # [B, S, 1]
        states = torch.cat((self.noise(input_ids).double(), self.code(index, length)), dim=-1)
        return SimpleNamespace(hidden_states=(self.noise(input_ids).double().repeat(1, 1, 2)[..., :7], states))


class Around(nn.Module):
    """A model that is nothing but this encoder."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = SimpleNamespace(is_encoder_decoder=True)
        self.device = torch.device("cpu")

    def get_encoder(self) -> nn.Module:
        return self.encoder

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        return labels.clamp_min(0)


def many(count: int = 300) -> list[Any]:
    draw = torch.Generator().manual_seed(5)
    made = []
    for number in range(count):
        length = int(torch.randint(3, 20, (), generator=draw))
        places = torch.randint(len(WORDS), (length,), generator=draw)
        text = " ".join(WORDS[int(place)] for place in places)
        made.append(replace(tiny_examples(1)[0], id=str(number), source=text))
    return made


def test_a_linear_index_has_r_squared_one(measure: Measure) -> None:
    linear = Around(Counting(lambda index, length: 3.0 * index - 5.0))
    for options in ({}, {"shuffle": False}, {"within_sentences": False}):
        found = measure("index-r2", linear, many(), max_examples=300, **options)
        assert found.scalars["r2"] == pytest.approx(1.0, abs=1e-6)


def test_states_that_know_no_index_have_r_squared_zero(make_model: Any, measure: Measure) -> None:
    found = measure("index-r2", make_model("none"), many(), max_examples=300)
    assert abs(found.scalars["r2"]) < 0.1
    known = measure("index-r2", make_model("sinusoidal"), many(), max_examples=300)
    assert known.scalars["r2"] > 0.5


def test_knowing_the_length_is_an_index_only_across_sentences(measure: Measure) -> None:
    long = Around(Counting(lambda index, length: length))
    assert abs(measure("index-r2", long, many(), max_examples=300).scalars["r2"]) < 0.05
    # E[i | L] = (L - 1) / 2 explains a part of the variance of i.
    assert measure("index-r2", long, many(), max_examples=300, within_sentences=False).scalars["r2"] > 0.15


def test_r_squared_is_that_of_least_squares_written_out() -> None:
    draw = np.random.default_rng(0)
    weights = draw.normal(size=4)
    halves = []
    for _ in range(2):
        x = draw.normal(size=(60, 4))
        halves.append((x, x @ weights + 2.0 + draw.normal(size=60)))
    (x, y), (held_x, held_y) = halves
    fitted, *_ = np.linalg.lstsq(np.c_[x, np.ones(60)], y, rcond=None)
    wrong = np.square(held_y - np.c_[held_x, np.ones(60)] @ fitted).sum()
    expected = 1 - wrong / np.square(held_y - held_y.mean()).sum()
    parts = [moments(torch.tensor(a)[None], torch.tensor(b), centred=False) for a, b in halves]
    assert r_squared(parts[0], parts[1], 0.0) == [pytest.approx(expected, rel=1e-10)]


def test_shuffling_moves_words_within_their_sentence_and_nothing_else() -> None:
    tokens = torch.arange(24).view(2, 12)
    kept = torch.ones(2, 12, dtype=torch.bool)
    kept[:, -1] = kept[1, 5:] = False
    result = shuffled(tokens, kept, torch.Generator().manual_seed(1))
    assert not torch.equal(result, tokens)
    assert torch.equal(result.sort(dim=1).values, tokens)
    assert torch.equal(result[~kept], tokens[~kept])
