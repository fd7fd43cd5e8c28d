from __future__ import annotations

import time
from typing import Any

import pytest

from zoo.measure.generation import generate_ids
from zoo.measure.reading import encoded_sources
from zoo.measure.split import split_times
from zoo.models.modes import evaluating
from zoo.spec.sections import DecodingSection


def test_the_parts_are_the_whole(tiny: Any) -> None:
    """Encoder and tokens times decoder against `generate` on the same sentence, in turn, in one run."""
    decoding, sentence = tiny.spec.decoding, tiny.sources[0]
    encoded = encoded_sources(tiny.tokenizer, [sentence], tiny.model.device, limit=512)
    parts, whole = [], []
    with evaluating(tiny.model):
        for _ in range(10):
            split = split_times(tiny.model, tiny.tokenizers, [sentence], decoding, samples=5, max_source_tokens=512)
            sums = zip(split.encode.values, split.tokens, split.decode_per_token.values, strict=True)
            parts += [encode + tokens * decode for encode, tokens, decode in sums]
            for _ in range(5):
                start = time.perf_counter()
                generate_ids(tiny.model, encoded, [sentence], decoding)
                whole.append(time.perf_counter() - start)
    # Minima: what other processes on this machine add to either is not what is compared.
    assert min(parts) == pytest.approx(min(whole), rel=0.25)


@pytest.mark.parametrize("strategy", ["greedy", {"use": "beam", "width": 3}, "sampling"], ids=str)
def test_each_part_takes_what_is_its_own(tiny: Any, strategy: Any) -> None:
    """The encoder is made to take 40 ms and each step of the decoder 20 ms."""
    step = 0.02
    handles = [
        tiny.model.get_encoder().register_forward_pre_hook(lambda *_: time.sleep(2 * step)),
        tiny.model.get_decoder().register_forward_pre_hook(lambda *_: time.sleep(step)),
    ]
    decoding = DecodingSection.model_validate({"strategy": strategy, "max_new_tokens": 5})
    # With the end token out of reach every sentence takes the same number of steps.
    tiny.model.generation_config.suppress_tokens = [tiny.tokenizer.eos_token_id]
    try:
        found = split_times(tiny.model, tiny.tokenizers, tiny.sources[:2], decoding, samples=4, max_source_tokens=512)
    finally:
        tiny.model.generation_config.suppress_tokens = None
        for handle in handles:
            handle.remove()
    assert found.tokens == (5, 5, 5, 5)
    assert 2 * step <= found.encode.minimum < 3.5 * step
    assert step <= found.decode_per_token.minimum < 1.75 * step


def test_tokens_are_those_that_generation_gives(tiny: Any) -> None:
    from zoo.measure.generation import generate_batch

    found = split_times(
        tiny.model, tiny.tokenizers, tiny.sources[:3], tiny.spec.decoding, samples=3, max_source_tokens=512
    )
    with evaluating(tiny.model):
        expected = [
            generate_batch(tiny.model, tiny.tokenizers, [text], tiny.spec.decoding, max_source_tokens=512).tokens
            for text in tiny.sources[:3]
        ]
    assert list(found.tokens) == expected


def test_no_sentence_is_refused(tiny: Any) -> None:
    with pytest.raises(ValueError, match="at least one sentence"):
        split_times(tiny.model, tiny.tokenizers, [], tiny.spec.decoding, samples=1, max_source_tokens=512)
