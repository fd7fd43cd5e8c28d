"""Sampling draws from the distribution that transformers says it is, and from nothing else's generator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from zoo_decoding.options import SamplingOptions
from zoo_decoding.sampling import GumbelNoise, Sampling

from zoo.testing.decoding import varied_model
from zoo.testing.surroundings import untouched_surroundings

DRAWS = 3000
CUTS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.6},
    {"temperature": 2.0, "top_k": 6},
    {"top_p": 0.7},
    {"min_p": 0.1, "temperature": 1.3},
    {"temperature": 1.4, "top_k": 12, "top_p": 0.9, "min_p": 0.03, "repetition_penalty": 1.5},
]


def _inputs(copies: int) -> dict[str, Tensor]:
    source = torch.tensor([[5, 9, 4, 7]]).expand(copies, -1)  # [B, S]
    return {"input_ids": source, "attention_mask": torch.ones_like(source)}


@torch.no_grad()
def _tokens(options: dict[str, Any], copies: int, longest: int) -> Tensor:
    sampling = Sampling(SamplingOptions(**options))
    return sampling.generate(varied_model(), _inputs(copies), max_new_tokens=longest, keys=range(copies))[:, 1:]


@torch.no_grad()
def _transformers_probabilities(options: dict[str, Any]) -> Tensor:
    """The distribution of the first token ``[V]`` that transformers' own sampling draws from."""
    settings = Sampling(SamplingOptions(**options)).settings()
    with torch.random.fork_rng(devices=[]):
        output = varied_model().generate(
            **_inputs(1), **settings, max_new_tokens=1, output_scores=True, return_dict_in_generate=True
        )
    probabilities: Tensor = output.scores[0][0].double().softmax(-1)
    return probabilities


@pytest.mark.parametrize("options", CUTS, ids=str)
def test_first_tokens_are_distributed_as_transformers_draws_them(options: dict[str, Any]) -> None:
    expected = _transformers_probabilities(options) * DRAWS  # [V]
    observed = torch.bincount(_tokens(options, DRAWS, 1)[:, 0], minlength=len(expected)).double()  # [V]
    assert not observed[expected == 0].any(), "a token that is cut off was drawn"
    large = expected >= 5  # what the test assumes of a class
    groups = [torch.cat((counts[large], counts[~large].sum()[None])) for counts in (observed, expected)]
    kept = groups[1] > 0
    # The seed is fixed: this holds or not, it does not flicker.
    assert chisquare(groups[0][kept].numpy(), groups[1][kept].numpy()).pvalue > 1e-3


def test_later_tokens_are_drawn_anew() -> None:
    """Were the noise of a step that of the step before, equal logits would give equal tokens over and over."""
    noise = GumbelNoise([7], torch.device("cpu"))
    flat = torch.zeros(1, 1000)
    tokens = {int(noise(torch.zeros(1, 1), flat).argmax()) for _ in range(20)}
    assert len(tokens) >= 19


def test_an_output_does_not_depend_on_how_many_are_drawn_beside_it() -> None:
    assert torch.equal(_tokens({}, 40, 6)[:3], _tokens({}, 3, 6))


def test_seed_and_key_both_change_the_draws() -> None:
    base, other = _tokens({"seed": 1}, 20, 6), _tokens({"seed": 2}, 20, 6)
    assert not torch.equal(base, other)
    assert len({tuple(row) for row in base.tolist()}) > 10


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    first = _tokens({"top_p": 0.9}, 5, 6)
    torch.manual_seed(2)
    with untouched_surroundings():
        assert torch.equal(_tokens({"top_p": 0.9}, 5, 6), first)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_on_a_gpu_the_draws_are_repeatable_too() -> None:
    import copy

    model = copy.deepcopy(varied_model()).cuda()
    inputs = {name: tensor.cuda() for name, tensor in _inputs(4).items()}
    sampling = Sampling(SamplingOptions())
    one, two = (sampling.generate(model, inputs, max_new_tokens=6, keys=range(4)) for _ in range(2))
    alone = sampling.generate(model, {name: tensor[:1] for name, tensor in inputs.items()}, max_new_tokens=6, keys=[0])
    assert torch.equal(one, two)
    assert torch.equal(alone[0], one[0, : alone.shape[1]])
