"""What is asked, beside that, of components that a language model has a slot for: one stack reads and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor

from zoo.models import ZooForCausalLM
from zoo.models._compat import CACHE
from zoo.models.base import IGNORED
from zoo.spec.options import Chosen
from zoo.testing.in_a_model import PAD, TOLERANCE, InAModel, moved, padded, refuse_gradients_that_are_not_finite
from zoo.testing.module import close
from zoo.testing.plain import plain_language_model

END, SEPARATOR = 1, 2
READ: tuple[tuple[int, ...], ...] = ((5, 9, 4, 7, 11, 6), (8, 13, 10), ())
WRITTEN: tuple[tuple[int, ...], ...] = ((6, 12, 9, END), (14, END), (7, 5, END))
"""Sources, of which one is empty, and what is written after each."""
ARCHITECTURES = ("causal-lm", "prefix-lm")
CHANGED = 1e-4

each_language_model = pytest.mark.parametrize("architecture", ARCHITECTURES)


class InALanguageModel(InAModel):
    """Inherited in place of `InAModel` by a kind whose slot a causal-lm and a prefix-lm have, too.

    What differs from an encoder-decoder's decoder: the source stands in the same row, so that rows are padded on the
    left and a cache begins with many tokens at once; there is no encoder; and in a prefix tokens see later ones.
    """

    def language_model(self, chosen: Chosen, architecture: str) -> ZooForCausalLM:
        """A small language model with the component in its slot, in evaluation mode; no weight is as it was
        initialised."""
        return moved(plain_language_model(architecture, **self.section(chosen)))

    @each_language_model
    def test_in_a_language_model_each_text_is_computed_as_if_alone(self, chosen: Chosen, architecture: str) -> None:
        """In a batch that is padded on the left, as `generate` reads it, or on the right, as training does."""
        model = self.language_model(chosen, architecture)
        together = target_logits(model, range(len(READ)))
        ids, mask = sequences()
        with torch.no_grad():
            right = model(ids, mask, use_cache=False).logits  # [B, L, V]
        for row, expected in enumerate(together):
            (alone,) = target_logits(model, [row])
            close(alone, expected, TOLERANCE, f"text {row} alone and in a batch")
            asked = slice(len(READ[row]), len(READ[row]) + len(WRITTEN[row]))
            close(right[row, asked], expected, TOLERANCE, f"text {row} padded right and left")

    @each_language_model
    def test_in_a_language_model_cached_decoding_equals_one_pass(self, chosen: Chosen, architecture: str) -> None:
        """The source is read at once, and the rest token by token from the cache."""
        model = self.language_model(chosen, architecture)
        whole = target_logits(model, range(len(READ)))
        written = labels(range(len(READ)))  # [B, T]
        with torch.no_grad():
            prompt = model.read_source(encoded(range(len(READ))))
            cache, mask = prompt[CACHE], prompt["attention_mask"]  # [B, S]
            token, steps = prompt["input_ids"][:, -1:], []  # [B, 1]
            for step in range(written.shape[1]):
                steps.append(model(token, mask, use_cache=True, **{CACHE: cache}).logits)
                real = written[:, step : step + 1] != IGNORED
                token = written[:, step : step + 1].masked_fill(~real, PAD)
                mask = torch.cat((mask, real.long()), dim=1)  # [B, S + step + 1]
        stepped = torch.cat(steps, dim=1)  # [B, T, V]
        for row, expected in enumerate(whole):
            close(stepped[row, : len(expected)], expected, TOLERANCE, f"text {row} cached against one pass")

    @each_language_model
    def test_in_a_language_model_tokens_see_what_they_should(self, chosen: Chosen, architecture: str) -> None:
        """What is written sees all that was read and nothing that follows; what is read sees itself to its end in a
        prefix-lm, and to the token itself in a causal-lm."""
        model = self.language_model(chosen, architecture)
        source, target = READ[0], WRITTEN[0]
        row = torch.tensor([*source, SEPARATOR, *target])
        last = len(source) - 1
        rows = row.repeat(4, 1)
        for other, place in enumerate((0, last, -1), start=1):
            rows[other, place] = 15
        with torch.no_grad():
            logits = model(rows, use_cache=False).logits  # [4, L, V]
        first_read, last_read, last_written = (logits[1:] - logits[0]).abs().amax(-1)  # [L] each
        asked = slice(len(source), -1)
        assert (first_read[asked] > CHANGED).all(), "what is written does not depend on the first token that was read"
        assert (last_written[:-1] <= TOLERANCE).all(), "a token sees what is written after it"
        if architecture == "prefix-lm":
            assert (last_read[:last] > CHANGED).all(), "in a prefix, a token does not see those that follow"
        else:
            assert (last_read[:last] <= TOLERANCE).all(), "a token sees what follows it"

    def test_in_a_language_model_bfloat16_stays_finite(self, chosen: Chosen) -> None:
        """In a prefix-lm, where a token sees what a causal-lm shows it and more."""
        model = self.language_model(chosen, "prefix-lm").to(torch.bfloat16)
        ids, mask = sequences()
        output = model(ids, mask, labels=ids.masked_fill(mask == 0, IGNORED))
        assert torch.isfinite(output.logits).all(), "logits in bfloat16 are not finite"
        output.loss.backward()
        refuse_gradients_that_are_not_finite(model)


def encoded(rows: Sequence[int]) -> dict[str, Tensor]:
    """Sources as tokenizers give them, ended and padded on the right."""
    return dict(zip(("input_ids", "attention_mask"), padded([(*READ[row], END) for row in rows], "right"), strict=True))


def labels(rows: Sequence[int]) -> Tensor:
    """What is written after them, ``[B, T]``."""
    ids, mask = padded([WRITTEN[row] for row in rows], "right")
    return ids.masked_fill(mask == 0, IGNORED)


def target_logits(model: ZooForCausalLM, rows: Sequence[int]) -> list[Tensor]:
    """The logits ``[T, V]`` of each row's real target tokens, of a batch padded on the left."""
    inputs: Mapping[str, Tensor] = encoded(rows)
    with torch.no_grad():
        logits = model.target_logits(inputs, labels(rows))  # [B, T, V]
    return [logits[index, : len(WRITTEN[row])] for index, row in enumerate(rows)]


def sequences() -> tuple[Tensor, Tensor]:
    """Ids and mask ``[B, L]`` of all texts as training reads them, padded on the right."""
    rows = [(*source, SEPARATOR, *target) for source, target in zip(READ, WRITTEN, strict=True)]
    return padded(rows, "right")
