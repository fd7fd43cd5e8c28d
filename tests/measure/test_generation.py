from __future__ import annotations

from typing import Any

import pytest
import torch

from zoo.measure.generation import evaluating, generate_batch, generate_outputs, generated_lengths
from zoo.spec.sections import DecodingSection


def test_tokens_count_up_to_the_first_end_and_padding_never() -> None:
    pad, eos = 0, 1
    sequences = torch.tensor(
        [
            [pad, 7, 8, eos, pad, pad],
            [pad, eos, pad, pad, pad, pad],
            [pad, 7, pad, 9, 7, 8],  # generated the padding token and never ended
            [pad, 7, 8, 9, 7, eos],
        ]
    )
    assert generated_lengths(sequences, eos) == ([3, 1, 5, 5], 1)


@pytest.mark.parametrize("strategy", ["greedy", "sampling"])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_outputs_come_in_the_order_of_their_sources_whatever_the_batch(
    tiny: Any, batch_size: int, strategy: str
) -> None:
    plain = {"strategy": strategy, "batch_size": batch_size, "max_new_tokens": 12}
    decoding = DecodingSection.model_validate(plain)
    found = generate_outputs(tiny.model, tiny.tokenizers, tiny.sources, decoding, max_source_tokens=512)
    with evaluating(tiny.model):
        alone = [
            generate_batch(tiny.model, tiny.tokenizers, [source], decoding, max_source_tokens=512)
            for source in tiny.sources
        ]
    assert found.outputs == tuple(one.outputs[0] for one in alone)
    assert found.tokens == sum(one.tokens for one in alone)
    assert found.unfinished == sum(one.unfinished for one in alone)
    assert len(set(found.outputs)) > 1, "outputs that are all alike show no order"


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ({"use": "greedy", "no_repeat_ngram": 1}, {"num_beams": 1, "no_repeat_ngram_size": 1}),
        ({"use": "beam", "width": 3, "length_penalty": 0.3}, {"num_beams": 3, "length_penalty": 0.3}),
    ],
    ids=["greedy", "beam"],
)
def test_decoding_is_what_the_spec_says(tiny: Any, strategy: dict[str, Any], options: dict[str, Any]) -> None:
    decoding = DecodingSection.model_validate({"strategy": strategy, "max_new_tokens": 5})
    found = generate_outputs(tiny.model, tiny.tokenizers, tiny.sources[:3], decoding, max_source_tokens=512)
    assert found.tokens <= 3 * 5
    encoded = tiny.tokenizer(tiny.sources[:3], padding=True, return_tensors="pt")
    with evaluating(tiny.model):
        expected = tiny.model.generate(
            input_ids=encoded["input_ids"],
            attention_mask=encoded["attention_mask"],
            do_sample=False,
            max_new_tokens=5,
            **options,
        )
    assert list(found.outputs) == tiny.tokenizer.batch_decode(expected, skip_special_tokens=True)


def test_sources_beyond_the_longest_sequence_are_cut_and_counted(tiny: Any) -> None:
    sources = [" ".join([tiny.sources[0]] * 40), tiny.sources[1]]
    limit = 10
    found = generate_outputs(tiny.model, tiny.tokenizers, sources, tiny.spec.decoding, max_source_tokens=limit)
    expected = sum(len(tiny.tokenizer(source)["input_ids"]) > limit for source in sources)
    assert expected >= 1
    assert found.truncated == expected


def test_the_models_mode_is_given_back(tiny: Any) -> None:
    tiny.model.train()
    try:
        generate_outputs(tiny.model, tiny.tokenizers, tiny.sources[:1], tiny.spec.decoding, max_source_tokens=512)
        assert tiny.model.training
        with pytest.raises(RuntimeError), evaluating(tiny.model):
            assert not tiny.model.training
            raise RuntimeError
        assert tiny.model.training
    finally:
        tiny.model.eval()


def test_progress_ends_at_the_number_of_sources(tiny: Any) -> None:
    seen: list[tuple[int, int]] = []
    decoding = tiny.spec.decoding.model_copy(update={"batch_size": 10})
    generate_outputs(
        tiny.model,
        tiny.tokenizers,
        tiny.sources,
        decoding,
        max_source_tokens=512,
        progress=lambda stage, done, total: seen.append((done, total)),
    )
    assert seen == [(10, 25), (20, 25), (25, 25)]


def test_no_source_gives_no_output(tiny: Any) -> None:
    found = generate_outputs(tiny.model, tiny.tokenizers, [], tiny.spec.decoding, max_source_tokens=512)
    assert found.outputs == ()
    assert found.tokens == 0
