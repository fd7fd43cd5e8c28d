"""The instruments on language models: one path for every skeleton."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.bench.smoke import smoke
from zoo.measure.generation import evaluating, generate_batch, generate_outputs
from zoo.measure.likelihoods import target_likelihoods
from zoo.measure.split import split_times
from zoo.models import assemble
from zoo.spec import load_spec
from zoo.tasks import Example

ONE_STACK = [
    "model.encoder=",
    "model.fusion=",
    "decoding.max_new_tokens=12",
    "model.d_model=32",
    "model.tie_embeddings=none",
]


@pytest.fixture(params=["causal-lm", "prefix-lm"])
def spec(request: pytest.FixtureRequest) -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "specs" / "smoke.yaml"
    return load_spec(path, [*ONE_STACK, f"model.architecture={request.param}"])


@pytest.fixture
def model(spec: Any, tiny: Any) -> Any:
    # In double precision no two logits tie, so that batched and single decoding must agree word for word.
    return assemble(spec.model, len(tiny.tokenizer), seed=3, spec=spec).double()


def test_outputs_hold_what_was_written_alone_whatever_the_batch(spec: Any, model: Any, tiny: Any) -> None:
    decoding = spec.decoding.model_copy(update={"batch_size": 4})
    sources = tiny.sources[:10]
    found = generate_outputs(model, tiny.tokenizers, sources, decoding, max_source_tokens=500)
    with evaluating(model):
        alone = [generate_batch(model, tiny.tokenizers, [t], decoding, max_source_tokens=500) for t in sources]
    assert found.outputs == tuple(one.outputs[0] for one in alone)
    assert found.tokens == sum(one.tokens for one in alone) <= 12 * len(sources)
    assert len(set(found.outputs)) > 1


@pytest.mark.parametrize("beams", [1, 3])
def test_reading_and_writing_are_timed_apart(spec: Any, model: Any, tiny: Any, beams: int) -> None:
    """Reading the source is made to take 40 ms, and each pass of the stack 20 ms."""
    step = 0.02
    read = model.read_source
    model.read_source = lambda encoded: (time.sleep(step), read(encoded))[1]
    handle = model.get_decoder().register_forward_pre_hook(lambda *_: time.sleep(step))
    decoding = spec.decoding.model_copy(update={"beams": beams, "max_new_tokens": 5})
    model.generation_config.suppress_tokens = [tiny.tokenizer.eos_token_id]
    try:
        found = split_times(model, tiny.tokenizers, tiny.sources[:2], decoding, samples=4, max_source_tokens=500)
    finally:
        handle.remove()
    assert found.tokens == (5, 5, 5, 5)
    assert 2 * step <= found.encode.minimum < 3.5 * step
    assert step <= found.decode_per_token.minimum < 1.75 * step


def test_likelihoods_are_the_sums_of_the_targets_log_probabilities(model: Any, tiny: Any) -> None:
    pairs = [(example.source, example.target) for example in tiny.examples[:4]]
    examples = [Example(str(n), s, t, contrasts=(pairs[n - 1][1],)) for n, (s, t) in enumerate(pairs)]
    found = target_likelihoods(model, tiny.tokenizers, examples, batch_size=3, max_tokens=250)
    model.eval()
    for row, example in zip(found, examples, strict=True):
        for value, text in zip(row, (example.target, *example.contrasts), strict=True):
            source, target = tiny.tokenizer(example.source)["input_ids"], tiny.tokenizer(text)["input_ids"]
            ids = torch.tensor([[*source[:-1], model.separator, *target]])
            with torch.no_grad():
                scores = model(ids[:, :-1]).logits.log_softmax(-1)[0, len(source) - 1 :]  # [T, V]
            np.testing.assert_allclose(value, scores[torch.arange(len(target)), target].sum(), rtol=1e-6)


@pytest.mark.parametrize(("positions", "new", "limit"), [(512, 12, 500), (16, 200, 8), (9, 200, 5), (1, 5, 1)])
def test_source_and_output_together_stay_within_the_positions(
    spec: Any, tiny: Any, positions: int, new: int, limit: int
) -> None:
    section = spec.model.model_copy(update={"max_positions": positions})
    plain = section.model_dump(mode="json") | {"position": "learned"}
    model = assemble(type(section).model_validate(plain), len(tiny.tokenizer), seed=3)
    assert model.source_limit(new) == limit
    decoding = spec.decoding.model_copy(update={"max_new_tokens": new})
    model.generation_config.suppress_tokens = [tiny.tokenizer.eos_token_id]
    with evaluating(model):
        text = " ".join(tiny.sources * 20)
        found = generate_batch(model, tiny.tokenizers, [text], decoding, max_source_tokens=limit)
    assert found.tokens == min(new, limit)
    assert found.truncated == 1


def test_the_smoke_test_of_a_spec_takes_language_models(spec: Any) -> None:
    smoke(spec)
