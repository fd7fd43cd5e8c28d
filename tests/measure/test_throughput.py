from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from zoo.measure.batches import Rate, batch_of
from zoo.measure.throughput import rate_of, rates


@contextmanager
def before_each_step(tiny: Any, hook: Callable[[int], object]) -> Iterator[None]:
    """Call `hook` with the batch before each decoder step; every sentence takes all its steps."""

    def forward(module: Any, arguments: tuple[Any, ...]) -> None:
        hook(arguments[0].shape[0])

    handle = tiny.model.get_decoder().register_forward_pre_hook(forward)
    tiny.model.generation_config.suppress_tokens = [tiny.tokenizer.eos_token_id]
    try:
        yield
    finally:
        handle.remove()
        tiny.model.generation_config.suppress_tokens = None


def test_throughput_is_tokens_and_sentences_by_seconds(tiny: Any) -> None:
    """Each decoder step is made to take 20 ms; a step gives each of the 4 unfinished sentences one token."""
    step, batch, tokens = 0.02, 4, 8
    decoding = tiny.spec.decoding.model_copy(update={"max_new_tokens": tokens})
    with before_each_step(tiny, lambda _: time.sleep(step)):
        found = rate_of(tiny.model, tiny.tokenizers, tiny.sources, decoding, batch=batch, max_source_tokens=512)
    assert (found.batch, found.status) == (batch, "ok")
    assert 0.5 * batch / step < (found.tokens_per_second or 0) <= batch / step
    assert found.tokens_per_second == pytest.approx(tokens * (found.sentences_per_second or 0))


def test_sizes_are_tried_from_the_smallest_and_none_beyond_the_first_that_does_not_fit(tiny: Any) -> None:
    tried: list[int] = []

    def allocate(batch: int) -> None:
        tried.append(batch)
        if batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with before_each_step(tiny, allocate):
        found = list(
            rates(
                tiny.model,
                tiny.tokenizers,
                tiny.sources,
                tiny.spec.decoding,
                batches=[8, 2, 1, 4, 2],
                max_source_tokens=512,
            )
        )
    assert [(rate.batch, rate.status) for rate in found] == [(1, "ok"), (2, "ok"), (4, "oom"), (8, "untried")]
    assert found[2:] == [Rate(4, "oom", None, None), Rate(8, "untried", None, None)]
    assert set(tried) == {1, 2, 4}
    assert tried.count(4) == 1, "a size that does not fit is not tried again as a smaller one"


def test_torchs_own_allocator_failing_is_a_size_that_does_not_fit(tiny: Any) -> None:
    with before_each_step(tiny, lambda batch: torch.empty(2**55 if batch > 1 else 1, dtype=torch.uint8)):
        found = list(
            rates(tiny.model, tiny.tokenizers, tiny.sources, tiny.spec.decoding, batches=[1, 2], max_source_tokens=512)
        )
    assert [rate.status for rate in found] == ["ok", "oom"]


def test_what_a_failed_size_held_is_given_back_before_its_answer(tiny: Any) -> None:
    import weakref

    held: list[weakref.ref[torch.Tensor]] = []

    def allocate(batch: int) -> None:
        block = torch.ones(1000)
        held.append(weakref.ref(block))
        raise MemoryError

    with before_each_step(tiny, allocate):
        stream = rates(
            tiny.model, tiny.tokenizers, tiny.sources, tiny.spec.decoding, batches=[1, 2], max_source_tokens=512
        )
        assert next(stream).status == "oom"
        assert [block() for block in held] == [None]


def test_an_error_that_is_not_of_memory_is_one(tiny: Any) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with before_each_step(tiny, fail), pytest.raises(RuntimeError, match="mat1 and mat2"):
        list(rates(tiny.model, tiny.tokenizers, tiny.sources, tiny.spec.decoding, batches=[1], max_source_tokens=512))


def test_a_batch_is_filled_by_repeating_the_sentences() -> None:
    assert batch_of(["a", "b", "c"], 7) == ["a", "b", "c", "a", "b", "c", "a"]
    assert batch_of(["a", "b", "c"], 2) == ["a", "b"]


def test_no_sentence_is_refused(tiny: Any) -> None:
    with pytest.raises(ValueError, match="at least one sentence"):
        rate_of(tiny.model, tiny.tokenizers, [], tiny.spec.decoding, batch=1, max_source_tokens=512)
