"""The kit fails components that break their contract, each by the test made for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

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
from zoo.probes.contracts import Probe, ProbeContext, ProbeResult, Series
from zoo.probes.options import ProbeOptions
from zoo.spec.options import Chosen, Options
from zoo.tasks import Items, SummedMetric
from zoo.testing import (
    ClippingSuite,
    ComponentSuite,
    FeedforwardSuite,
    FusionSuite,
    InitializationSuite,
    MetricSuite,
    OptimizerSuite,
    PositionSuite,
    ProbeSuite,
    ScheduleSuite,
    TokenLossSuite,
)
from zoo.training.contracts import (
    Clipped,
    Clipping,
    LossContext,
    NamedParameters,
    OptimizerFactory,
    Schedule,
    TokenLoss,
)

Installed = Callable[..., ComponentSuite]
CAUGHT = (AssertionError, pytest.fail.Exception)


def _chosen(suite: ComponentSuite) -> Chosen:
    record = suite.registered()
    return Chosen(record, record.load_options()())


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
ARGUMENTS: dict[str, Any] = {
    "test_cached_decoding_equals_one_pass": "encoder",
    "test_sentences_packed_in_one_row_are_computed_as_if_alone": "encoder",
    "test_any_number_of_heads_will_do": 12,
}


def _run(suite: ComponentSuite, test: str) -> None:
    extra = (ARGUMENTS[test],) if test in ARGUMENTS else ()
    getattr(suite, test)(_chosen(suite), *extra)


@pytest.mark.parametrize(("scheme", "test", "words"), POSITIONS)
def test_a_broken_position_scheme_is_caught(
    installed: Installed, scheme: type[Position], test: str, words: str
) -> None:
    suite = installed(PositionSuite, scheme, traits={"where": "embedding", "cache": "plain"})
    caught = (*CAUGHT, RuntimeError)  # RuntimeError: torch's own refusal
    with pytest.raises(caught, match=words):
        _run(suite, test)


@pytest.mark.parametrize(
    "test", sorted({case[1] for case in POSITIONS} - {"test_shift_invariance_holds_where_claimed"})
)
def test_a_sound_scheme_passes_what_catches_the_others(installed: Installed, test: str) -> None:
    _run(installed(PositionSuite, Sound, traits={"where": "embedding", "cache": "plain"}), test)


class LooksAround(Feedforward):
    """Reads the neighbouring place."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x.roll(1, dims=1)


def test_a_feedforward_layer_that_mixes_places_is_caught(installed: Installed) -> None:
    suite = installed(FeedforwardSuite, LooksAround)
    with pytest.raises(AssertionError, match="place 0 alone"):
        _run(suite, "test_each_place_is_computed_as_if_alone")


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
    installed: Installed, component: type[Feedforward], says: str
) -> None:
    suite = installed(FeedforwardSuite, component)
    with pytest.raises(AssertionError, match=says):
        _run(suite, "test_initialisations_get_every_matrix_once")


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
    installed: Installed, component: type[Initialization], test: str, words: str
) -> None:
    with pytest.raises(CAUGHT, match=words):
        _run(installed(InitializationSuite, component), test)


@pytest.mark.parametrize("test", sorted({case[1] for case in STARTS}))
def test_a_sound_initialisation_passes_what_catches_the_others(installed: Installed, test: str) -> None:
    _run(installed(InitializationSuite, SoundStart), test)


class DropsTheMask(Fusion):
    """Averages over the sentence, padding included."""

    needs_all_layers = False

    def memory(self, layer_states: Tensor, mask: Tensor | None, decoder_layer: int) -> Memory:
        mean = layer_states[:, -1].mean(1, keepdim=True).expand_as(layer_states[:, -1])
        return Memory(mean, mean, mask)


def test_a_fusion_that_lets_padding_through_is_caught(installed: Installed) -> None:
    suite = installed(FusionSuite, DropsTheMask)
    with pytest.raises(AssertionError, match="keys of real places"):
        _run(suite, "test_padding_does_not_reach_real_places")


class WrongGradient(TokenLoss):
    """Cross-entropy whose gradient is scaled behind its back."""

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        loss = nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        return loss.detach() + 0.5 * (loss - loss.detach())


class Reduced(TokenLoss):
    """Reduces, which is the host's part."""

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        return nn.functional.cross_entropy(logits.float(), targets)


def test_broken_token_losses_are_caught(installed: Installed) -> None:
    with pytest.raises(AssertionError, match="gradient against differences"):
        _run(installed(TokenLossSuite, WrongGradient), "test_gradient_is_that_of_the_value")
    suite = installed(TokenLossSuite, Reduced)
    with pytest.raises(AssertionError):
        suite.test_one_float32_loss_a_token(_chosen(suite), torch.float32)  # type: ignore[attr-defined]


class Forgetful(SGD):
    """Halves its rate at every step, and keeps the count to itself."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        self.steps += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / 2**self.steps
        return super().step(closure)


class ForgetfulFactory(OptimizerFactory):
    """Makes `Forgetful`."""

    def create(self, parameters: NamedParameters) -> Optimizer:
        return Forgetful([parameter for _, parameter in parameters], lr=0.1)


class LeavesOneOut(OptimizerFactory):
    """Forgets the first parameter."""

    def create(self, parameters: NamedParameters) -> Optimizer:
        return SGD([parameter for _, parameter in parameters[1:]], lr=0.1)


def test_broken_optimizers_are_caught(installed: Installed) -> None:
    suite = installed(OptimizerSuite, ForgetfulFactory)
    with pytest.raises(AssertionError, match="went another way"):
        _run(suite, "test_restored_state_gives_the_same_next_step")
    with pytest.raises(AssertionError, match="moved at learning rate 0"):
        _run(suite, "test_learning_rate_zero_moves_nothing")
    with pytest.raises(AssertionError):
        _run(installed(OptimizerSuite, LeavesOneOut), "test_it_is_a_torch_optimizer_over_every_parameter_once")


class SaysNothing(Clipping):
    """Clips and reports that it did not."""

    def clip(self, parameters: NamedParameters) -> Clipped:
        norm = nn.utils.clip_grad_norm_([parameter for _, parameter in parameters], 0.1)
        return Clipped(norm, torch.tensor(False))


class Warms(Schedule):
    """Remembers where it was."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.last = 0.0

    def factor(self, step: int, total_steps: int) -> float:
        self.last = 0.5 * self.last + step
        return self.last


class Negative(Schedule):
    """Falls below zero past the end."""

    def factor(self, step: int, total_steps: int) -> float:
        return 1 - step / total_steps


def test_broken_clippings_and_schedules_are_caught(installed: Installed) -> None:
    suite = installed(ClippingSuite, SaysNothing)
    with pytest.raises(AssertionError, match="reported as not clipped"):
        suite.test_the_report_is_true(_chosen(suite), 1.0)  # type: ignore[attr-defined]
    with pytest.raises(AssertionError):
        _run(installed(ScheduleSuite, Warms), "test_a_step_has_one_factor")
    suite = installed(ScheduleSuite, Negative)
    with pytest.raises(AssertionError, match="step 11 of 10"):
        suite.test_every_step_has_a_factor(_chosen(suite), 10)  # type: ignore[attr-defined]


class WrongWay(SummedMetric):
    """Calls the number of errors a score where higher is better, and draws from the global generator."""

    name = "errors"
    direction = "higher"
    unit = "errors"
    signature = "v1"

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        pairs = zip(outputs, references, strict=False)
        return [np.array([output != reference, 1e-9 * random.random()], dtype=float) for output, reference in pairs]

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        return sums.sum(axis=1)

    def interval(self, items: Items) -> tuple[float, float]:
        return 99.0, 100.0


def test_a_broken_metric_is_caught(installed: Installed) -> None:
    suite = installed(MetricSuite, WrongWay)
    for test in ("test_the_references_beat_nonsense", "test_the_interval_holds_the_value"):
        with pytest.raises(AssertionError):
            _run(suite, test)
    with pytest.raises(AssertionError, match="random's state"):
        _run(suite, "test_scoring_again_gives_the_same")
    with pytest.raises(CAUGHT, match="DID NOT RAISE"):
        suite.test_lists_that_do_not_fit_are_refused(_chosen(suite), "too few outputs")  # type: ignore[attr-defined]


class Hits(SummedMetric):
    """The number of outputs that are right: nothing wrong with it."""

    name = "hits"
    direction = "higher"
    unit = "hits"
    signature = "v1"

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        if not len(outputs) == len(references) == len(sources) > 0:
            raise ValueError("expected equal numbers")
        pairs = zip(outputs, references, strict=True)
        return [np.array([output == reference, 1.0], dtype=np.float64) for output, reference in pairs]

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        return sums[:, 0] / sums[:, 1]


class CountsOnce(Hits):
    """Takes any weight for one."""

    def combined(self, items: Items, weights: np.ndarray) -> np.ndarray:
        return super().combined(items, (weights > 0).astype(float))


class Remembers(Hits):
    """Scores the outputs it has seen, whatever items it is given."""

    seen: Items = ()

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        self.seen = super().items(outputs, references, sources)
        return [np.zeros(2) for _ in self.seen]

    def combined(self, items: Items, weights: np.ndarray) -> np.ndarray:
        return super().combined(self.seen or [np.ones(2) for _ in items], weights)


class FirstIsWorthMore(Hits):
    """Lets the first example count double."""

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        first, *others = super().items(outputs, references, sources)
        return [2 * first, *others]


class OneForAll(Hits):
    """Mixes the rows of weights."""

    def combined(self, items: Items, weights: np.ndarray) -> np.ndarray:
        return super().combined(items, weights.mean(axis=0, keepdims=True).repeat(len(weights), axis=0))


class SameForEach(Hits):
    """Gives every segment the score of the corpus."""

    def segments(self, items: Items) -> np.ndarray:
        return self.combined(items, np.ones((1, len(items)))).repeat(len(items))


class SinglePrecision(Hits):
    """Items that a record would change."""

    def items(self, outputs: Sequence[str], references: Sequence[str], sources: Sequence[str]) -> Items:
        return [item.astype(np.float32) for item in super().items(outputs, references, sources)]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (CountsOnce, "test_a_weight_says_how_often_an_example_counts"),
        (Remembers, "test_items_alone_make_the_score"),
        (FirstIsWorthMore, "test_the_order_of_examples_does_not_matter"),
        (OneForAll, "test_each_row_of_weights_is_scored_by_itself"),
        (SameForEach, "test_segments_are_the_scores_of_single_examples"),
        (SinglePrecision, "test_items_are_vectors_of_finite_numbers"),
    ],
)
def test_a_metric_that_breaks_its_two_steps_is_caught(
    installed: Installed, broken: type[SummedMetric], test: str
) -> None:
    _run(installed(MetricSuite, Hits), test)
    with pytest.raises(AssertionError):
        _run(installed(MetricSuite, broken), test)


def test_a_metric_of_other_outputs_is_tried_on_data_of_its_own(installed: Installed) -> None:
    suite = installed(MetricSuite, Hits, traits={"outputs": "sounds"})
    with pytest.raises(pytest.skip.Exception, match="no examples of outputs 'sounds': override MetricSuite.data"):
        _run(suite, "test_items_alone_make_the_score")


class Norm(Probe):
    """The norm of the first parameter, and the loss of the sample: nothing wrong with it."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        (batch, *_) = context.batches()
        logits = context.model(**batch.inputs(), use_cache=False).logits.detach()
        weight = next(iter(context.model.parameters())).detach()
        series = Series("part", "value", ("logits", "weight"), {"norm": (float(logits.norm()), float(weight.norm()))})
        return ProbeResult({"weight": float(weight.norm())}, {"norms": series})


class Trains(Norm):
    """Moves a weight."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        with torch.no_grad():
            next(iter(context.model.parameters())).add_(1e-4)
        return super().measure(context)


class Backward(Norm):
    """Leaves gradients behind."""

    needs_gradients = True

    def measure(self, context: ProbeContext) -> ProbeResult:
        (batch, *_) = context.batches()
        context.model(**batch.inputs(), use_cache=False).logits.sum().backward()
        return super().measure(context)


class LeavesHook(Norm):
    """Goes on listening."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        context.model.get_encoder().register_forward_hook(lambda *given: None)
        return super().measure(context)


class DrawsGlobally(Norm):
    """Takes its numbers from everybody's generator."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        torch.rand(1)
        return super().measure(context)


class Restless(Norm):
    """Finds something else each time."""

    count = 0

    def measure(self, context: ProbeContext) -> ProbeResult:
        type(self).count += 1
        return ProbeResult({"count": self.count})


class Silent(Norm):
    """Finds nothing."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        return ProbeResult()


class MixesPlaces(Norm):
    """Names and numbers on one axis."""

    def measure(self, context: ProbeContext) -> ProbeResult:
        return ProbeResult(series={"mixed": Series("place", "value", (1, "two"), {"one": (1.0, 2.0)})})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (Trains, "test_the_model_is_left_as_it_was"),
        (Backward, "test_the_model_is_left_as_it_was"),
        (LeavesHook, "test_the_model_is_left_as_it_was"),
        (DrawsGlobally, "test_the_random_state_is_left_as_it_was"),
        (Restless, "test_measuring_again_finds_the_same"),
        (Silent, "test_it_finds_something_and_says_what"),
        (MixesPlaces, "test_it_finds_something_and_says_what"),
    ],
)
def test_a_probe_that_breaks_its_contract_is_caught(installed: Installed, broken: type[Probe], test: str) -> None:
    _run(installed(ProbeSuite, Norm, options=ProbeOptions), test)
    with pytest.raises(AssertionError):
        _run(installed(ProbeSuite, broken, options=ProbeOptions), test)


class Undescribed(Options):
    """Options that say nothing."""

    depth: int = 1
    width: int = Field(description="Documented and required")


class Loose(Options, frozen=False):
    """Options that may change."""


class Foreign:
    """No position scheme."""


def test_broken_records_and_options_are_caught(installed: Installed) -> None:
    suite = installed(PositionSuite, Sound, options=Undescribed, references=("Su et al.",), summary="x" * 200)
    for test, words in (
        ("test_every_option_is_described", "without a description: depth"),
        ("test_component_can_be_tried", "width must be given"),
        ("test_references_can_be_resolved", "expected arXiv"),
        ("test_summary_is_one_line", "200 characters"),
    ):
        with pytest.raises(CAUGHT, match=words):
            getattr(suite, test)()
    with pytest.raises(AssertionError, match="must be frozen"):
        installed(PositionSuite, Sound, options=Loose).test_options_are_frozen_and_refuse_unknown_keys()
    with pytest.raises(AssertionError, match="expected a subclass of zoo.models.contracts.Position"):
        installed(PositionSuite, Foreign).test_implementation_is_of_its_kind_and_documented()
    with pytest.raises((AssertionError, TypeError)):
        installed(PositionSuite, Sound, traits={"made": object()}).test_traits_are_plain_data()
