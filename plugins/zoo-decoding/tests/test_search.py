"""Greedy and beam search against a loop over the model, an exhaustive search, and transformers told directly."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor
from zoo_decoding.options import BeamOptions, GreedyOptions
from zoo_decoding.search import Beam, Greedy

from zoo.models import ZooForCausalLM, ZooForConditionalGeneration
from zoo.testing.decoding import varied_model

EOS = 1
ONES = torch.ones(1, 20, dtype=torch.long)
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
    target = [0]
    while len(target) < 9 and target[-1] != EOS:
        with torch.no_grad():
            source = SOURCES["input_ids"][:1]
            logits = varied_model()(input_ids=source, decoder_input_ids=torch.tensor([target])).logits[0, -1]  # [V]
        target.append(_constrained(logits, target, size, penalty))
    options = GreedyOptions(no_repeat_ngram=size, repetition_penalty=penalty)
    assert _decode(Greedy(options), 8, 0) == target
    assert target != _decode(Greedy(GreedyOptions()), 8, 0), "the constraint changed nothing"


@pytest.fixture(scope="module", params=["causal-lm", "prefix-lm"])
def language_model(request: pytest.FixtureRequest) -> ZooForCausalLM:
    return cast(ZooForCausalLM, varied_model(request.param))


@pytest.mark.parametrize(("size", "penalty"), [(1, 1.0), (2, 1.0), (0, 4.0)])
@torch.no_grad()
def test_constraints_of_a_language_model_are_about_its_output_and_not_its_source(
    language_model: ZooForCausalLM, size: int, penalty: float
) -> None:
    """The source has every token; a shorter one beside it has the prompt padded on the left."""
    sources = torch.tensor([[7, 9, 8, *range(4, 23), EOS], [5, 6, EOS, *[0] * 20]])
    encoded = {"input_ids": sources, "attention_mask": (sources != 0).long()}
    prompts = language_model.prompts(encoded)
    constraints = {"no_repeat_ngram": size, "repetition_penalty": penalty}
    longest = 8
    for row, (ids, mask) in enumerate(zip(prompts["input_ids"], prompts["attention_mask"], strict=True)):
        source, target = ids[mask.bool()].tolist(), [language_model.separator]
        while len(target) <= longest and target[-1] != EOS:
            logits = language_model(torch.tensor([[*source, *target[1:]]]), use_cache=False).logits[0, -1]  # [V]
            target.append(_constrained(logits, target, size, penalty))
        for read in (prompts, language_model.read_source(encoded)):
            strategy = Greedy(GreedyOptions(**constraints))
            sequences = strategy.generate(language_model, read, max_new_tokens=longest, keys=[0, 1])
            assert language_model.written(sequences, read)[row, : len(target)].tolist() == target
        if row == 0:
            assert len(set(target) & set(source)) > 1, "nothing of the source is said again"


@torch.no_grad()
def test_the_beams_of_a_language_model_are_constrained_as_well(language_model: ZooForCausalLM) -> None:
    prompts = language_model.prompts({"input_ids": torch.tensor([[*range(4, 23), EOS]]), "attention_mask": ONES})
    strategy = Beam(BeamOptions(width=3, no_repeat_ngram=1, repetition_penalty=1.5, min_new_tokens=5))
    sequences = strategy.generate(language_model, prompts, max_new_tokens=6, keys=[0])
    output = language_model.written(sequences, prompts)[0].tolist()
    assert len(set(output)) == len(output) >= 6
    assert len(set(output) & set(range(4, 23))) >= 4


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
