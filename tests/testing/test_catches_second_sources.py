"""The kit fails fusions, output fusions and context encoders that break their contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.models.contracts import Context, ContextEncoder, Fusion, Memory, OutputFusion
from zoo.testing import ComponentSuite, ContextEncoderSuite, FusionSuite, OutputFusionSuite, TokenLossSuite
from zoo.training.contracts import LossContext, TokenLoss

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]


class MeanOfLayers(Fusion):
    """The mean of all encoder outputs; its contributions forget that it is one."""

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        mean = layer_states.mean(1)
        return Memory(mean, mean, mask)

    def contributions(self, layer_states: Tensor, decoder_layer: int) -> Tensor:
        return layer_states.transpose(0, 1)


class OmitsNothing(MeanOfLayers):
    """Tells its terms rightly, and leaves none out."""

    def contributions(self, layer_states: Tensor, decoder_layer: int) -> Tensor:
        return layer_states.transpose(0, 1) / layer_states.shape[1]


@pytest.mark.parametrize(
    ("fusion", "words"), [(MeanOfLayers, "the memory less its terms"), (OmitsNothing, "the last layer was omitted")]
)
def test_contributions_that_do_not_add_up_are_caught(
    installed: Installed, run: Run, fusion: type[Fusion], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        run(installed(FusionSuite, fusion), "test_contributions_add_up_to_the_memory")


class MeanSource(OutputFusion):
    """Adds the projected mean of all source embeddings, padding included, and calls the sum log-probabilities."""

    log_probabilities = True

    def combine(self, logits: Tensor, **given: Any) -> Tensor:
        states, mean = given["decoder_states"], given["source_embeddings"].mean(1, keepdim=True)
        added: Tensor = logits + given["project"](mean.expand_as(states))
        return added


class SoftmaxOverNothing(OutputFusion):
    """Hides with minus infinity."""

    def combine(self, logits: Tensor, **given: Any) -> Tensor:
        scores = given["decoder_states"] @ given["encoder_states"].transpose(-1, -2)
        if given["visible"] is not None:
            scores = scores.masked_fill(~given["visible"], -torch.inf)
        return logits + given["project"](scores.softmax(-1) @ given["source_embeddings"])  # type: ignore[no-any-return]


def test_broken_output_fusions_are_caught(installed: Installed, run: Run) -> None:
    with pytest.raises(AssertionError, match="hidden source tokens changed"):
        run(installed(OutputFusionSuite, MeanSource), "test_hidden_source_tokens_do_not_count")
    with pytest.raises(AssertionError):
        run(installed(OutputFusionSuite, MeanSource), "test_the_claim_about_the_scores_holds")
    suite = installed(OutputFusionSuite, SoftmaxOverNothing)
    run(suite, "test_hidden_source_tokens_do_not_count")
    with pytest.raises(AssertionError):
        run(suite, "test_an_empty_source_gives_finite_scores", 3)


class NormalisesAgain(TokenLoss):
    """Claims to take log-probabilities as they are."""

    takes_log_probabilities = True

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        return nn.functional.cross_entropy(logits.float(), targets, reduction="none")


def test_a_loss_that_normalises_what_it_should_take_is_caught(installed: Installed, run: Run) -> None:
    with pytest.raises(AssertionError, match="normalised again"):
        run(installed(TokenLossSuite, NormalisesAgain), "test_log_probabilities_are_taken_as_they_are_where_claimed")


class MeanContext(ContextEncoder):
    """Adds the mean of the context's states, whatever the mask says."""

    def merge(self, states: Tensor, mask: Tensor | None, context: Context | None, backend: str) -> Tensor:
        return states if context is None else states + context.states.mean(1, keepdim=True)


class DividesByNothing(ContextEncoder):
    """The mean of the real states: 0 / 0 where there is none, though it is not chosen then."""

    def merge(self, states: Tensor, mask: Tensor | None, context: Context | None, backend: str) -> Tensor:
        if context is None or context.mask is None:
            return states if context is None else states + context.states.mean(1, keepdim=True)
        real = context.mask[..., None]
        # The gradient of a state that the division meets on the way is NaN.
        total = (context.states * real).sum(1, keepdim=True) + 0 * states.mean(1, keepdim=True)
        return context.where_present(states + total / real.sum(1, keepdim=True), states)


class OverwritesTheCache(ContextEncoder):
    """Keeps its keys where those of the attention to the source belong."""

    where = "decoder"

    def attend(
        self, decoder_layer: int, x: Tensor, attended: Tensor, context: Context, backend: str, cache: Any
    ) -> Tensor:
        if cache is not None:
            cache.is_updated[decoder_layer] = True
        mean = (context.states * context.mask[..., None]).sum(1, keepdim=True) if context.mask is not None else 0
        return attended + mean


@pytest.mark.parametrize(
    ("component", "test", "words"),
    [
        (MeanContext, "test_hidden_context_tokens_do_not_count", "hidden context tokens changed"),
        (MeanContext, "test_an_example_without_context_is_as_without_an_encoder_of_it", "without context in a batch"),
        (DividesByNothing, "test_no_gradient_is_lost_to_an_empty_context", "isfinite"),
        (OverwritesTheCache, "test_cached_decoding_equals_one_pass", "attention to the source were taken"),
    ],
)
def test_broken_context_encoders_are_caught(
    installed: Installed, run: Run, component: type[ContextEncoder], test: str, words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        run(installed(ContextEncoderSuite, component), test)
