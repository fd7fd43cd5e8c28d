"""Several sentences in a row: each gives what it gives alone, whatever stands beside it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.errors import InputError
from zoo.models.contracts import Memory

TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}
PAIRS = [(6, 5), (1, 3), (4, 7), (3, 1), (7, 2)]
"""Source and target lengths."""
ROWS = [[0, 1, 3], [2], [4, 1]]
"""Which pairs stand in which row."""


@pytest.fixture
def pairs() -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(5)
    return [tuple(torch.randint(4, 53, (1, length), generator=draw) for length in pair) for pair in PAIRS]


def rows_of(pairs: list[tuple[Tensor, Tensor]], side: int) -> tuple[Tensor, Tensor]:
    """Ids and segments of one side, ``[B, L]``, padded on the right."""
    tokens = [torch.cat([pairs[index][side][0] for index in row]) for row in ROWS]
    numbers = [torch.cat([torch.full_like(pairs[i][side][0], n) for n, i in enumerate(row, 1)]) for row in ROWS]
    pad = torch.nn.utils.rnn.pad_sequence
    return pad(tokens, batch_first=True), pad(numbers, batch_first=True)


def packed_inputs(pairs: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    (source, source_segments), (target, target_segments) = rows_of(pairs, 0), rows_of(pairs, 1)
    return {
        "input_ids": source,
        "decoder_input_ids": target,
        "segment_ids": source_segments,
        "decoder_segment_ids": target_segments,
    }


def alone(model, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Logits of the tokens of all rows, each pair computed by itself, ``[M, V]``."""
    logits = [model(input_ids=s, decoder_input_ids=t, use_cache=False).logits[0] for s, t in pairs]
    return torch.cat([logits[index] for row in ROWS for index in row])


def packed(model, pairs: list[tuple[Tensor, Tensor]], **more: Tensor) -> Tensor:
    inputs = packed_inputs(pairs)
    return model(**inputs, **more, use_cache=False).logits[inputs["decoder_segment_ids"] != 0]


@pytest.mark.parametrize(
    ("backend", "block"),
    [
        ("sdpa", "post-norm"),
        ("sdpa", "pre-norm"),
        ("eager", "post-norm"),
        ("eager", "pre-norm"),
        pytest.param("flex", "post-norm", marks=pytest.mark.slow),
    ],
)
def test_a_packed_pair_has_the_logits_of_the_pair_alone(make_model, position, pairs, backend, block):
    model = make_model(position, block=block, attention=backend)
    # flex compiles anew for each length. That it agrees with the others on a pair alone is tested in test_identities.
    by_itself = make_model(position, block=block, attention="sdpa") if backend == "flex" else model
    with torch.no_grad():
        torch.testing.assert_close(packed(model, pairs), alone(by_itself, pairs), **TOLERANCE)


def test_loss_and_gradients_of_packed_pairs_are_those_of_the_pairs_alone(make_model, position, pairs):
    model = make_model(position)
    labels = torch.randint(4, 53, (sum(PAIRS[i][1] for row in ROWS for i in row),))
    found = []
    for compute in (alone, packed):
        model.zero_grad()
        loss = F.cross_entropy(compute(model, pairs), labels)
        loss.backward()
        found.append((loss.detach(), {name: weight.grad.clone() for name, weight in model.named_parameters()}))
    torch.testing.assert_close(found[0], found[1], **TOLERANCE)


def test_without_segments_the_pairs_of_a_row_would_mix(make_model, position, pairs):
    """The control."""
    model = make_model(position)
    inputs = packed_inputs(pairs)
    with torch.no_grad():
        mixed = model(inputs["input_ids"], decoder_input_ids=inputs["decoder_input_ids"], use_cache=False).logits
        assert not torch.allclose(mixed[inputs["decoder_segment_ids"] != 0], alone(model, pairs), atol=1e-2)


def test_a_fusion_of_all_layers_keeps_packed_pairs_apart(make_model, pairs, monkeypatch):
    model = make_model(fusion="zoo-private/weighted-layers")
    weight = model.decoder.fusion.weight

    def memory(states: Tensor, mask: Tensor | None, layer: int) -> Memory:
        # The private fusion also hides a row's first token, which is another one where rows are packed.
        return Memory(torch.einsum("l,blsd->bsd", weight[layer], states), states[:, 0], mask)

    monkeypatch.setattr(model.decoder.fusion, "memory", memory)
    with torch.no_grad():
        torch.testing.assert_close(packed(model, pairs), alone(model, pairs), **TOLERANCE)


def test_recomputed_layers_keep_packed_pairs_apart(make_model, position, pairs):
    model = make_model(position).train()
    model.gradient_checkpointing_enable()
    torch.testing.assert_close(packed(model, pairs), alone(model.eval(), pairs), **TOLERANCE)


def test_given_positions_go_before_counted_ones(make_model, pairs):
    model = make_model("zoo-positional/sinusoidal")
    source, target = (rows_of(pairs, side)[1] for side in (0, 1))
    places = {"position_ids": torch.full_like(source, 3), "decoder_position_ids": torch.full_like(target, 3)}
    with torch.no_grad():
        assert not torch.allclose(packed(model, pairs, **places), packed(model, pairs), atol=1e-3)


def test_a_row_may_be_longer_than_the_table_but_a_sentence_may_not(make_model, pairs):
    model = make_model("zoo-positional/learned", max_positions=7)
    assert packed_inputs(pairs)["input_ids"].shape[1] == 10
    with torch.no_grad():
        torch.testing.assert_close(packed(model, pairs), alone(model, pairs), **TOLERANCE)
    short = make_model("zoo-positional/learned", max_positions=6)
    with pytest.raises(InputError, match="ends at 6 positions, the sequence needs 7"):
        packed(short, pairs)


def test_packed_rows_are_refused_beside_what_they_do_not_go_with(make_model, pairs):
    model, inputs = make_model(), packed_inputs(pairs)
    with pytest.raises(ValueError, match="padding is segment 0"):
        model(**inputs, attention_mask=torch.ones_like(inputs["input_ids"]))
    with pytest.raises(ValueError, match="padding is segment 0"):
        model(**inputs, decoder_attention_mask=torch.ones_like(inputs["decoder_input_ids"]))
    one_sided = {name: value for name, value in inputs.items() if name != "decoder_segment_ids"}
    with pytest.raises(ValueError, match="both segment_ids and decoder_segment_ids"):
        model(**one_sided)
    with torch.no_grad():
        cache = model(**inputs, use_cache=True).past_key_values
        with pytest.raises(ValueError, match="no going on from a cache"):
            model(**inputs, past_key_values=cache)
