"""The kit fails position schemes, feed-forward layers, initialisations and fusions that break their contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zoo.models.contracts import (
    Feedforward,
    Formula,
    Fusion,
    Initialization,
    InitializationContext,
    Matrix,
    Memory,
    Position,
    StackContext,
    Term,
)
from zoo.spec.options import Options
from zoo.testing import ComponentSuite, FeedforwardSuite, FusionSuite, InitializationSuite, PositionSuite

Installed = Callable[..., ComponentSuite]
Run = Callable[..., None]
CAUGHT = (AssertionError, pytest.fail.Exception)


class Sound(Position):
    """Adds a vector that turns with the position: nothing wrong with it."""

    def vectors(self, positions: Tensor) -> Tensor:
        rate = torch.arange(1, self.context.d_model + 1, device=positions.device) / self.context.d_model
        return (positions[..., None] * rate).sin()

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return (x + self.vectors(positions)).to(x.dtype)


class CountsShapes(Sound):
    """Takes positions from the length of its input."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return super().embed(x, torch.arange(x.shape[1])[None])


class KeepsABuffer(Sound):
    """Keeps a constant outside the state dict."""

    def __init__(self, options: Options, context: StackContext) -> None:
        super().__init__(options, context)
        self.register_buffer("rate", torch.ones(context.d_model), persistent=False)

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return (x + (positions[..., None] * self.rate).sin()).to(x.dtype)


class RoundsPositions(Sound):
    """Holds positions in the dtype of x."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return super().embed(x, positions.to(x.dtype))


class ClaimsToBeRelative(Sound):
    """Is absolute and says otherwise."""

    shift_invariant = True


class Writes(Sound):
    """Works in place on what it was given."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return x.add_(self.vectors(positions).to(x.dtype))


class Reseeds(Sound):
    """Sets the global generator in passing."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        torch.manual_seed(0)
        return super().embed(x, positions)


class MixesTheBatch(Sound):
    """Subtracts the mean over the batch."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return super().embed(x - x.mean(0, keepdim=True), positions)


class RemembersStalePositions(Sound):
    """Caches by the identity of a tensor that may change in place."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        if getattr(self, "seen", None) is not positions:
            self.seen, self.kept = positions, self.vectors(positions)
        return (x + self.kept).to(x.dtype)


class CountsQueries(Position):
    """Takes the query's position from its place among the queries: a cached step has only one."""

    def score(self, q: Tensor | None, k: Tensor | None, q_positions: Tensor, k_positions: Tensor) -> tuple[Term, ...]:
        def squares(parameters: tuple[Tensor, ...], i: Tensor, j: Tensor) -> Tensor:
            return -parameters[0] * (torch.arange(i.shape[-2])[:, None] - j).square()

        return (Formula(torch.full((self.context.heads, 1), 0.01), squares),)


class EightHeads(Sound):
    """Fails where the number of heads is no power of two."""

    def __init__(self, options: Options, context: StackContext) -> None:
        super().__init__(options, context)
        assert context.heads.bit_count() == 1, "heads must be a power of two"


class MeasuresTheRow(Sound):
    """Places tokens in relation to the largest position of their row."""

    def vectors(self, positions: Tensor) -> Tensor:
        return super().vectors(positions / (1 + positions.amax(-1, keepdim=True)))


class BreaksCompilation(Sound):
    """Looks at a value on the host."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return super().embed(x, positions) if positions.max().item() >= 0 else x


POSITIONS: list[tuple[type[Position], str, str]] = [
    (CountsShapes, "test_positions_are_taken_from_the_argument_alone", "another order"),
    (KeepsABuffer, "test_state_dict_restores_a_module_made_on_the_meta_device", "outside the state dict.*: rate"),
    (RoundsPositions, "test_bfloat16_agrees_with_float32", "bfloat16 against float32"),
    (ClaimsToBeRelative, "test_shift_invariance_holds_where_claimed", "moved by 37"),
    (Writes, "test_inputs_are_left_as_they_were", "input 0 was written to"),
    (Reseeds, "test_running_leaves_global_state_alone", "torch's random state"),
    (MixesTheBatch, "test_each_example_of_a_batch_is_computed_as_if_alone", "alone and in a batch"),
    (RemembersStalePositions, "test_nothing_of_one_pass_is_left_in_the_next", "changed in place"),
    (CountsQueries, "test_cached_decoding_equals_one_pass", "cached against one pass"),
    (CountsQueries, "test_trait_where_says_what_the_scheme_does", "trait 'where' against embed"),
    (MeasuresTheRow, "test_sentences_packed_in_one_row_are_computed_as_if_alone", "packed against alone"),
    (EightHeads, "test_any_number_of_heads_will_do", "power of two"),
    (BreaksCompilation, "test_no_value_is_read_off_the_device", "item"),
    (BreaksCompilation, "test_torch_compile_traces_it_whole", "(?i)data.dependent"),
]
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "test_cached_decoding_equals_one_pass": ("encoder",),
    "test_sentences_packed_in_one_row_are_computed_as_if_alone": ("encoder",),
    "test_any_number_of_heads_will_do": (12,),
}


@pytest.mark.parametrize(("scheme", "test", "words"), POSITIONS)
def test_a_broken_position_scheme_is_caught(
    installed: Installed, run: Run, scheme: type[Position], test: str, words: str
) -> None:
    suite = installed(PositionSuite, scheme, traits={"where": "embedding", "cache": "plain"})
    caught = (*CAUGHT, RuntimeError)  # RuntimeError: torch's own refusal
    with pytest.raises(caught, match=words):
        run(suite, test, *ARGUMENTS.get(test, ()))


@pytest.mark.parametrize(
    "test", sorted({case[1] for case in POSITIONS} - {"test_shift_invariance_holds_where_claimed"})
)
def test_a_sound_scheme_passes_what_catches_the_others(installed: Installed, run: Run, test: str) -> None:
    run(
        installed(PositionSuite, Sound, traits={"where": "embedding", "cache": "plain"}), test, *ARGUMENTS.get(test, ())
    )


class LooksAround(Feedforward):
    """Reads the neighbouring place."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x.roll(1, dims=1)


def test_a_feedforward_layer_that_mixes_places_is_caught(installed: Installed, run: Run) -> None:
    suite = installed(FeedforwardSuite, LooksAround)
    with pytest.raises(AssertionError, match="place 0 alone"):
        run(suite, "test_each_place_is_computed_as_if_alone")


class HidesAMatrix(Feedforward):
    """Multiplies by a parameter that it does not show."""

    def __init__(self, options: Options, width: int) -> None:
        super().__init__(options, width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Parameter(torch.randn(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) @ self.outer


class ShowsACopy(HidesAMatrix):
    """Shows its matrix as a new tensor, which can be set without effect."""

    def matrices(self) -> dict[str, Tensor]:
        return super().matrices() | {"outer": self.outer.T.contiguous()}


@pytest.mark.parametrize(
    ("component", "says"), [(HidesAMatrix, "elements shown"), (ShowsACopy, "outer shares no memory")]
)
def test_a_feedforward_layer_whose_matrices_cannot_be_set_is_caught(
    installed: Installed, run: Run, component: type[Feedforward], says: str
) -> None:
    suite = installed(FeedforwardSuite, component)
    with pytest.raises(AssertionError, match=says):
        run(suite, "test_initialisations_get_every_matrix_once")


class SoundStart(Initialization):
    """Draws every matrix from one distribution: nothing wrong with it."""

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        nn.init.normal_(matrix.weight, std=(context.layers * matrix.weight.shape[1]) ** -0.5)


class DividesByTheOtherStack(SoundStart):
    """Forgets that a model may have one stack only."""

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        matrix.weight.div_(context.encoder_layers * context.decoder_layers)


class WritesTheWholeParameter(SoundStart):
    """Sets what the matrix is a part of."""

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        nn.init.normal_(matrix.weight if matrix.weight._base is None else matrix.weight._base)


class DrawsElsewhere(SoundStart):
    """Draws from numpy's global generator."""

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        matrix.weight.copy_(torch.from_numpy(np.random.standard_normal(tuple(matrix.weight.shape))))


class CountsItsCalls(SoundStart):
    """Gives each matrix its turn's number."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.calls = 0

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        self.calls += 1
        matrix.weight.fill_(float(self.calls))


class Forgets(SoundStart):
    """Leaves everything as it was."""

    def initialize(self, matrix: Matrix, context: InitializationContext) -> None:
        pass


STARTS = [
    (DividesByTheOtherStack, "test_every_matrix_of_every_kind_of_model_is_finite", r"encoder of depths \(6, 0\)"),
    (WritesTheWholeParameter, "test_only_the_matrix_itself_is_written", "neighbours were written to"),
    (DrawsElsewhere, "test_draws_come_from_torchs_generator_alone", "numpy's random state"),
    (CountsItsCalls, "test_a_matrix_does_not_depend_on_those_before_it", "depends on the order"),
    (Forgets, "test_something_is_set", "as it was"),
]


@pytest.mark.parametrize(("component", "test", "words"), STARTS)
def test_an_unsound_initialisation_is_caught(
    installed: Installed, run: Run, component: type[Initialization], test: str, words: str
) -> None:
    with pytest.raises(CAUGHT, match=words):
        run(installed(InitializationSuite, component), test)


@pytest.mark.parametrize("test", sorted({case[1] for case in STARTS}))
def test_a_sound_initialisation_passes_what_catches_the_others(installed: Installed, run: Run, test: str) -> None:
    run(installed(InitializationSuite, SoundStart), test)


class DropsTheMask(Fusion):
    """Averages over the sentence, padding included."""

    needs_all_layers = False

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        mean = layer_states[:, -1].mean(1, keepdim=True).expand_as(layer_states[:, -1])
        return Memory(mean, mean, mask)


def test_a_fusion_that_lets_padding_through_is_caught(installed: Installed, run: Run) -> None:
    suite = installed(FusionSuite, DropsTheMask)
    with pytest.raises(AssertionError, match="keys of real places"):
        run(suite, "test_padding_does_not_reach_real_places")
