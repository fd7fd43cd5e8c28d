"""The part of the kit that puts a component in a model fails those that only a model finds out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.models.contracts import (
    Activation,
    Context,
    ContextEncoder,
    Feedforward,
    Fusion,
    FusionContext,
    Initialization,
    InitializationContext,
    Matrix,
    Memory,
    Normalization,
    OutputFusion,
    Position,
)
from zoo.registry import Kind, Registry
from zoo.registry.discovery import LoadPolicy, discover
from zoo.spec.context import ContextOptions
from zoo.spec.options import Options
from zoo.testing import (
    ActivationSuite,
    ComponentSuite,
    ContextEncoderSuite,
    FeedforwardSuite,
    FusionSuite,
    InALanguageModel,
    InAModel,
    InitializationSuite,
    NormalizationSuite,
    OutputFusionSuite,
    PositionSuite,
)
from zoo.testing.in_a_model import slot_of
from zoo.testing.plain import DISTRIBUTION, with_plain_components

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]


class CountsFromTheEnd(Position):
    """Places tokens by what is still to come, which padding and a cache change."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        left = torch.arange(x.shape[1], 0, -1, device=x.device)[:, None]
        return x + (left / 3).sin().to(x.dtype)


class EndsWithoutAWord(Position):
    """Has a table and does not say where it ends."""

    def __init__(self, options: Options, context: Any) -> None:
        super().__init__(options, context)
        self.table = nn.Parameter(torch.randn(context.max_positions, context.d_model))

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + self.table[positions.clamp_max(self.context.max_positions)]


class RefusesLongSentences(Position):
    """Claims an end that it has not: what is beyond it is not refused by the host's rule."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + 1 / (positions[..., None] < self.context.max_positions).to(x.dtype)


class TakesKeysForQueries(Position):
    """Scales keys by where the last query stands, which padding moves."""

    def rotate(
        self, q: Tensor, k: Tensor, v: Tensor, q_positions: Tensor, k_positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return q, k * (1 + q_positions[:, None, -1:, None].to(k.dtype)), v


class LeavesTheMemory(Position):
    """Says that it acts in attention, and does so in self-attention alone."""

    def __init__(self, options: Options, context: Any) -> None:
        super().__init__(options, context)
        self.gain = nn.Parameter(torch.ones(()))

    def rotate(
        self, q: Tensor, k: Tensor, v: Tensor, q_positions: Tensor, k_positions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return (q, k, v) if self.context.cross else (q, k * (1 + self.gain * k_positions[:, None, :, None]), v)


class MixesTheBatch(Normalization):
    """Normalises over the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0, keepdim=True)


class DrawsAnew(Feedforward):
    """Holds a random matrix that is not saved."""

    def __init__(self, options: Options, width: int) -> None:
        super().__init__(options, width)
        self.register_buffer("matrix", torch.randn(width, width), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.to(x.dtype)


class Overflows(Activation):
    """Is not finite where the input is large for bfloat16's eyes."""

    def forward(self, x: Tensor) -> Tensor:
        return x / (x + 1 - x - 1 + (x.dtype != torch.bfloat16))


class LooksOnTheHost(Activation):
    """Branches on a value."""

    def forward(self, x: Tensor) -> Tensor:
        return x.relu() if x.sum().item() > 0 else x.clamp_min(0)


class Averages(Fusion):
    """Adds the mean over the real tokens: of none, that is nothing by nothing."""

    needs_all_layers = False

    def __init__(self, options: Options, context: FusionContext) -> None:
        super().__init__(options, context)
        self.gate = nn.Parameter(torch.ones(()))

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        top = layer_states[:, -1]  # [B, S, D]
        real = torch.ones_like(top[..., :1]) if mask is None else mask[..., None].to(top.dtype)
        source = top + self.gate * (top * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)  # [B, S, D]
        return Memory(source, source, mask)


class Explodes(Initialization):
    """Numbers that are finite, of which no sum of products is."""

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        matrix.weight.fill_(1e38)


class PeeksAtTheFirst(OutputFusion):
    """Adds what the first place of the source holds, be it padding."""

    def combine(self, logits: Tensor, **given: Any) -> Tensor:
        first = given["source_embeddings"][:, :1].expand_as(given["decoder_states"])
        return logits + given["project"](first)  # type: ignore[no-any-return]


class AddsTheMean(ContextEncoder):
    """Adds the mean of all places of the context, be they padding."""

    def merge(self, states: Tensor, mask: Tensor | None, context: Context | None, backend: str) -> Tensor:
        return states if context is None else states + context.states.mean(1, keepdim=True)


class ForgetsWhoHasOne(ContextEncoder):
    """Adds the first place of the context in the decoder, of its first pass."""

    where = "decoder"

    def attend(
        self, decoder_layer: int, x: Tensor, attended: Tensor, context: Context, backend: str, cache: Any
    ) -> Tensor:
        filled = cache is not None and cache.is_updated.get(0) and cache.get_seq_length() > 1
        return attended if filled else context.where_present(attended + context.states[:, :1], attended)


class WrongDerivative(Activation):
    """Learns a scale whose gradient is halved."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * (0.5 * self.scale + 0.5 * self.scale.detach())


_IN = "test_in_a_model_"
CASES: list[tuple[type[ComponentSuite], type, str, tuple[Any, ...], str]] = [
    (PositionSuite, CountsFromTheEnd, f"{_IN}left_padding_is_right_padding", ("left", "right"), "padded left"),
    (PositionSuite, CountsFromTheEnd, f"{_IN}left_padding_is_right_padding", ("right", "left"), "padded left"),
    (PositionSuite, CountsFromTheEnd, f"{_IN}cached_decoding_equals_one_pass", (), "cached against one pass"),
    (PositionSuite, CountsFromTheEnd, f"{_IN}beams_do_not_depend_on_the_cache", (), "with and without the cache"),
    (PositionSuite, CountsFromTheEnd, f"{_IN}a_sentence_of_one_token_will_do", (), "one token alone"),
    (
        PositionSuite,
        EndsWithoutAWord,
        f"{_IN}longer_sentences_than_any_trained_on_are_finite_or_refused",
        ("source",),
        "out of bounds",
    ),
    (
        PositionSuite,
        RefusesLongSentences,
        f"{_IN}longer_sentences_than_any_trained_on_are_finite_or_refused",
        ("target",),
        "no finite numbers",
    ),
    (PositionSuite, TakesKeysForQueries, f"{_IN}it_places_cross_attention_too", (), "sentence 1: source left"),
    (PositionSuite, LeavesTheMemory, f"{_IN}it_places_cross_attention_too", (), "against none"),
    (NormalizationSuite, MixesTheBatch, f"{_IN}each_sentence_of_a_batch_is_computed_as_if_alone", (), "alone and in"),
    (ActivationSuite, Overflows, f"{_IN}bfloat16_stays_finite", (), "in bfloat16 are not finite"),
    (FusionSuite, Averages, f"{_IN}an_empty_source_gives_finite_numbers", (), "not finite"),
    (InitializationSuite, Explodes, f"{_IN}cached_decoding_equals_one_pass", (), "not finite"),
    (OutputFusionSuite, PeeksAtTheFirst, f"{_IN}left_padding_is_right_padding", ("left", "right"), "padded left"),
    (ContextEncoderSuite, AddsTheMean, f"{_IN}each_sentence_of_a_batch_is_computed_as_if_alone", (), "alone and in"),
    (ContextEncoderSuite, AddsTheMean, f"{_IN}an_empty_context_is_none", (), "against none"),
    (ContextEncoderSuite, ForgetsWhoHasOne, f"{_IN}cached_decoding_knows_who_has_a_context", (), "cached against"),
    (ActivationSuite, WrongDerivative, "test_gradients_are_the_derivatives", (), "(?s)Jacobian|Gradients"),
]


@pytest.mark.parametrize(("suite", "component", "test", "arguments", "words"), CASES)
def test_what_only_a_model_finds_out_is_caught(
    installed: Installed,
    run: Run,
    suite: type[ComponentSuite],
    component: type,
    test: str,
    arguments: tuple[Any, ...],
    words: str,
) -> None:
    options = ContextOptions if suite is ContextEncoderSuite else None  # what reads the context is told by them
    traits = {"where": "attention"} if "rotate" in vars(component) else {}
    running = installed(suite, component, options=options, traits=traits)
    with pytest.raises((AssertionError, IndexError, RuntimeError), match=words):
        run(running, test, *arguments)


def test_what_is_not_saved_is_caught(installed: Installed, run: Run, tmp_path: Path) -> None:
    suite = installed(FeedforwardSuite, DrawsAnew)
    with pytest.raises(AssertionError, match="something else than the saved one"):
        run(suite, "test_in_a_model_what_was_saved_is_loaded", tmp_path)


@pytest.mark.slow
def test_a_break_in_the_graph_must_be_declared(installed: Installed, run: Run) -> None:
    silent = installed(ActivationSuite, LooksOnTheHost)
    with pytest.raises(Exception, match="(?i)data.dependent|graph break"):
        run(silent, "test_in_a_model_torch_compile_changes_nothing")
    honest = installed(ActivationSuite, LooksOnTheHost, traits={"compile": "parts"})
    run(honest, "test_in_a_model_torch_compile_changes_nothing")


def test_a_slot_is_found_by_the_kind_of_its_component() -> None:
    found = {kind: slot_of(kind) for kind in ("position", "block", "activation", "fusion")}
    assert found == {
        "position": "position",
        "block": "block",
        "activation": "feedforward.activation",
        "fusion": "fusion",
    }
    with pytest.raises(ValueError, match="set 'slot' in the suite"):
        slot_of("metric")


def test_every_kind_of_the_model_section_is_tested_in_a_model() -> None:
    from zoo.testing.conformance import suite_of

    registry = Registry(discover(LoadPolicy(), entry_points=[]))
    kinds: list[Kind] = [kind for kind in registry.kinds.values() if kind.protocol.startswith("zoo.models.contracts:")]
    assert {kind.name for kind in kinds} >= {"position", "block", "fusion", "activation"}
    assert [kind.name for kind in kinds if not issubclass(suite_of(kind), InAModel)] == []
    of_encoders = {"fusion", "output-fusion", "context-encoder"}  # which a language model has not
    assert {kind.name for kind in kinds if not issubclass(suite_of(kind), InALanguageModel)} == of_encoders


def test_plain_components_are_added_once_and_collide_with_nothing() -> None:
    registry = with_plain_components()
    assert with_plain_components(registry) is registry
    for item in registry.components():
        if item.distribution == DISTRIBUTION:
            assert registry.get(item.kind, item.name) is item
