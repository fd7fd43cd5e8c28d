"""Greedy and beam search against a loop over the model, an exhaustive search, and transformers told directly."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_decoding.options import BeamOptions, GreedyOptions
from zoo_decoding.search import Beam, Greedy

from zoo.models import ZooForConditionalGeneration
from zoo.testing.decoding import varied_model

EOS = 1
SOURCES = {
    "input_ids": torch.tensor([[5, 9, 4, 7, 11, 6], [8, 13, 10, 5, 0, 0], [12, 0, 0, 0, 0, 0]]),
    "attention_mask": torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0]]),
}


@torch.no_grad()
def _log_probabilities(model: ZooForConditionalGeneration, row: int, target: list[int]) -> Tensor:
    """Of every next token after each token of `target`, ``[T, V]``; no cache, no batch, no padding."""
    source = SOURCES["input_ids"][row : row + 1, : int(SOURCES["attention_mask"][row].sum())]
    logits: Tensor = model(input_ids=source, decoder_input_ids=torch.tensor([target]), use_cache=False).logits
    return logits[0].log_softmax(-1)  # [T, V]


@torch.no_grad()
def _decode(strategy: Greedy | Beam, longest: int, row: int) -> list[int]:
    inputs = {name: tensor[row : row + 1] for name, tensor in SOURCES.items()}
    found: list[int] = strategy.generate(varied_model(), inputs, max_new_tokens=longest, keys=[0])[0].tolist()
    return found


@pytest.mark.parametrize("row", [0, 1, 2])
def test_greedy_takes_the_likeliest_token_step_by_step(row: int) -> None:
    target = [0]
    while len(target) < 9 and target[-1] != EOS:
        target.append(int(_log_probabilities(varied_model(), row, target)[-1].argmax()))
    assert _decode(Greedy(GreedyOptions()), 8, row) == target
    assert len(set(target)) > 2, "an output of one token shows nothing"


def _constrained(logits: Tensor, target: list[int], size: int, penalty: float) -> int:
    """The likeliest token after `target` by logits ``[V]`` under the constraints."""
    written = torch.tensor(sorted(set(target)))
    logits[written] = torch.where(logits[written] > 0, logits[written] / penalty, logits[written] * penalty)
    if size:
        ngrams = {tuple(target[at : at + size]) for at in range(len(target) - size + 1)}
        prefix = target[len(target) - size + 1 :]
        for token in range(len(logits)):
            if (*prefix, token) in ngrams:
                logits[token] = -torch.inf
    return int(logits.argmax())


@pytest.mark.parametrize(("size", "penalty"), [(1, 1.0), (2, 1.0), (0, 2.5)])
def test_constraints_are_their_definitions(size: int, penalty: float) -> None:
    """No n-gram twice; logits of what was written divided where positive and multiplied where negative."""
    target = [0]
    while len(target) < 9 and target[-1] != EOS:
        with torch.no_grad():
            source = SOURCES["input_ids"][:1]
            logits = varied_model()(input_ids=source, decoder_input_ids=torch.tensor([target])).logits[0, -1]  # [V]
        target.append(_constrained(logits, target, size, penalty))
    options = GreedyOptions(no_repeat_ngram=size, repetition_penalty=penalty)
    assert _decode(Greedy(options), 8, 0) == target
    assert target != _decode(Greedy(GreedyOptions()), 8, 0), "the constraint changed nothing"


@pytest.mark.parametrize("architecture", ["causal-lm", "prefix-lm"])
@pytest.mark.parametrize(("size", "penalty"), [(1, 1.0), (2, 1.0), (0, 2.5)])
def test_in_a_language_model_the_source_may_be_repeated(architecture: str, size: int, penalty: float) -> None:
    """Source and output stand in one row; the constraints speak of the output, the separator being its start."""
    model = varied_model(architecture)
    ended = torch.tensor([[5, 9, 4, 7, 12, 16, 9, EOS]])
    prompt = model.prompts({"input_ids": ended, "attention_mask": torch.ones_like(ended)})
    read = prompt["input_ids"].shape[1] - 1
    rows = {}
    for name, options in {
        "free": GreedyOptions(),
        "bound": GreedyOptions(no_repeat_ngram=size, repetition_penalty=penalty),
    }.items():
        rows[name] = Greedy(options).generate(model, prompt, max_new_tokens=8, keys=[0])[0].tolist()
    expected = prompt["input_ids"][0].tolist()
    while len(expected) < read + 9 and expected[-1] != EOS:
        with torch.no_grad():
            logits = model(torch.tensor([expected]), use_cache=False).logits[0, -1]  # [V]
        expected.append(_constrained(logits, expected[read:], size, penalty))
    assert rows["bound"] == expected
    assert rows["free"] != expected, "the constraint changed nothing"


@pytest.mark.parametrize("power", [0.0, 0.6, 1.0, 3.0])
def test_a_beam_as_wide_as_the_tree_finds_the_best_of_all_outputs(power: float) -> None:
    """All 22 + 22^2 outputs of two tokens at the most, scored one by one."""
    model, row = varied_model(), 1
    first = _log_probabilities(model, row, [0])[0]  # [V]
    scored: dict[tuple[int, ...], float] = {(EOS,): float(first[EOS])}
    for one in range(len(first)):
        if one == EOS:
            continue
        second = _log_probabilities(model, row, [0, one])[1]  # [V]
        for two in range(len(second)):
            scored[(one, two)] = float(first[one] + second[two]) / 2**power
    best = max(scored, key=lambda output: scored[output])
    found = _decode(Beam(BeamOptions(width=23, length_penalty=power)), 2, row)
    assert tuple(found[1:]) == best


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"width": 3, "length_penalty": 0.4}, {"num_beams": 3, "length_penalty": 0.4}),
        ({"early_stopping": True}, {"num_beams": 4, "early_stopping": True}),
        ({"width": 2, "min_new_tokens": 7}, {"num_beams": 2, "min_new_tokens": 7}),
        ({"width": 2, "no_repeat_ngram": 2}, {"num_beams": 2, "no_repeat_ngram_size": 2}),
        ({"width": 2, "repetition_penalty": 1.9}, {"num_beams": 2, "repetition_penalty": 1.9}),
    ],
)
@torch.no_grad()
def test_beam_search_is_that_of_transformers(options: dict[str, Any], settings: dict[str, Any]) -> None:
    model = varied_model()
    expected = model.generate(**SOURCES, **settings, do_sample=False, max_new_tokens=10)
    found = Beam(BeamOptions(**options)).generate(model, SOURCES, max_new_tokens=10, keys=[0, 1, 2])
    assert torch.equal(found, expected)


def test_an_output_is_never_shorter_than_the_shortest() -> None:
    lengths = [len(_decode(Greedy(GreedyOptions(min_new_tokens=6)), 8, row)) - 1 for row in range(3)]
    ended = [EOS in _decode(Greedy(GreedyOptions(min_new_tokens=6)), 8, row)[1:6] for row in range(3)]
    assert min(lengths) >= 6
    assert not any(ended)
