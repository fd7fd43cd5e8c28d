"""What is asked of token losses, optimizers, clippings and schedules."""

from __future__ import annotations

import copy
import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.errors import ZooError
from zoo.spec.options import Chosen
from zoo.testing.module import close, random_tensor
from zoo.testing.suite import ComponentSuite
from zoo.testing.surroundings import untouched_surroundings
from zoo.training.contracts import (
    Clipping,
    LayerMatrix,
    LossContext,
    NamedParameters,
    OptimizerFactory,
    Schedule,
    TokenLoss,
)
from zoo.training.watch.optimizer_state import optimizer_state_bytes
from zoo.training.weights.statefile import load_state, save_state

TOKENS, VOCABULARY = 9, 11
EXAMPLES = (0, 0, 0, 0, 1, 1, 1, 1, 1)
"""Which text each of the tokens belongs to."""


def loss_context(examples: Sequence[int] = EXAMPLES, **changes: Any) -> LossContext:
    """Somewhere in training, with tokens of these texts."""
    given = torch.tensor(examples, dtype=torch.int64)
    return LossContext(**{"step": 3, "total_steps": 100, "examples": given, **changes})


class TokenLossSuite(ComponentSuite):
    """Token losses: see `zoo.training.contracts.TokenLoss`. What a loss says of itself (`passes`, `row_wise`,
    `takes_log_probabilities`) decides what is asked of it."""

    kind: ClassVar[str] = "token-loss"

    def build(self, chosen: Chosen) -> TokenLoss:
        """The loss, as the host builds it."""
        loss: TokenLoss = chosen.create()
        assert isinstance(loss, TokenLoss)
        assert loss.passes >= 1
        return loss

    def sample(self, loss: TokenLoss) -> tuple[Tensor, Tensor]:
        """Logits ``[M, V]``, or ``[passes, M, V]`` that differ a little, and targets ``[M]``; some stand twice."""
        targets = torch.arange(TOKENS) % 4
        logits = random_tensor(TOKENS, VOCABULARY)
        if loss.passes == 1:
            return logits, targets
        return logits + 0.3 * random_tensor(loss.passes, TOKENS, VOCABULARY, seed=2), targets

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_one_float32_loss_a_token(self, chosen: Chosen, dtype: torch.dtype) -> None:
        loss = self.build(chosen)
        logits, targets = self.sample(loss)
        found = loss(logits.to(dtype), targets, loss_context())
        assert (tuple(found.shape), found.dtype) == ((TOKENS,), torch.float32)
        close(found, loss(logits, targets, loss_context()), 0.02, f"{dtype} against float32")

    def test_no_tokens_give_no_losses(self, chosen: Chosen) -> None:
        loss = self.build(chosen)
        logits, targets = self.sample(loss)
        assert loss(logits[..., :0, :], targets[:0], loss_context(())).shape == (0,)

    @pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
    def test_values_and_gradients_are_finite(self, chosen: Chosen, scale: float) -> None:
        loss = self.build(chosen)
        logits, targets = self.sample(loss)
        self._assert_finite(loss, logits * scale, targets)

    def test_a_masked_class_leaves_values_and_gradients_finite(self, chosen: Chosen) -> None:
        """One logit of -inf, of a class that is no target."""
        loss = self.build(chosen)
        logits, targets = self.sample(loss)
        logits[..., VOCABULARY - 1] = -math.inf
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a loss may tell that it does otherwise than its formula
            self._assert_finite(loss, logits, targets)

    def _assert_finite(self, loss: TokenLoss, logits: Tensor, targets: Tensor) -> None:
        logits = logits.detach().requires_grad_()
        found = loss(logits, targets, loss_context())
        found.sum().backward()
        assert torch.isfinite(found).all(), "the loss is not finite"
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all(), "the gradient is not finite"

    def test_gradient_is_that_of_the_value(self, chosen: Chosen) -> None:
        """Central differences along a random direction."""
        loss = self.build(chosen)
        logits, targets = self.sample(loss)
        direction, step = random_tensor(*logits.shape, seed=1), 1e-2
        logits.requires_grad_()
        loss(logits, targets, loss_context()).sum().backward()
        assert logits.grad is not None
        with torch.no_grad():
            above = loss(logits + step * direction, targets, loss_context()).double().sum()
            below = loss(logits - step * direction, targets, loss_context()).double().sum()
        close((logits.grad * direction).sum(), (above - below) / (2 * step), 1e-2, "gradient against differences")

    def test_log_probabilities_are_taken_as_they_are_where_claimed(self, chosen: Chosen) -> None:
        loss = self.build(chosen)
        if not loss.takes_log_probabilities:
            pytest.skip("not claimed")
        logits, targets = self.sample(loss)
        taken = loss_context(log_probabilities=True)
        plain = loss(logits, targets, loss_context())
        close(loss(logits.log_softmax(-1), targets, taken), plain, 1e-5, "normalised log-probabilities against logits")
        shifted = loss(logits.log_softmax(-1) - 1, targets, taken)
        counted = plain != 0  # a loss may leave tokens out
        assert counted.any()
        assert (shifted > plain + 0.1)[counted].all(), "they were normalised again"

    def test_each_token_is_scored_as_if_alone_where_claimed(self, chosen: Chosen) -> None:
        loss = self.build(chosen)
        if not loss.row_wise:
            pytest.skip("the loss says that tokens are scored together")
        logits, targets = self.sample(loss)
        alone = torch.cat(
            [
                loss(logits[..., i : i + 1, :], targets[i : i + 1], loss_context(EXAMPLES[i : i + 1]))
                for i in range(TOKENS)
            ]
        )
        close(alone, loss(logits, targets, loss_context()), 1e-6, "token by token")

    def test_texts_are_told_apart_by_their_numbers_and_no_more(self, chosen: Chosen) -> None:
        loss = self.build(chosen)
        logits, targets = self.sample(loss)
        renumbered = loss_context([7 - 3 * number for number in EXAMPLES])
        expected = loss(logits, targets, loss_context())
        close(loss(logits, targets, renumbered), expected, 1e-6, "the same texts under other numbers")

    def test_no_pass_is_unlike_the_others(self, chosen: Chosen) -> None:
        """Which masks were drawn first says nothing."""
        loss = self.build(chosen)
        if loss.passes == 1:
            pytest.skip("one pass")
        logits, targets = self.sample(loss)
        expected = loss(logits, targets, loss_context())
        close(loss(logits.roll(1, 0), targets, loss_context()), expected, 1e-6, "passes in another order")

    def test_the_likelier_target_costs_less(self, chosen: Chosen) -> None:
        loss = self.build(chosen)
        logits, targets = self.sample(loss)
        onehot = nn.functional.one_hot(targets, VOCABULARY).float().expand_as(logits)
        likely, unlikely = (loss(scores, targets, loss_context()) for scores in (onehot, -onehot))
        assert (likely < unlikely).all()

    def test_inputs_and_global_state_are_left_alone(self, chosen: Chosen) -> None:
        loss = self.build(chosen)
        logits, targets = self.sample(loss)
        with untouched_surroundings():
            first = loss(logits, targets, loss_context())
        assert torch.equal(logits, self.sample(loss)[0])
        assert torch.equal(targets, self.sample(loss)[1])
        assert torch.equal(loss(logits, targets, loss_context()), first)


def sample_parameters() -> list[tuple[str, nn.Parameter]]:
    """Named as in a model: a table large enough to be quantised, a query, a key and a value in one, a projection with
    its bias, a normalisation; the last one gets no gradient."""
    shapes = {
        "embeddings.weight": (520, 8),
        "encoder.layers.0.attention.qkv.weight": (24, 8),
        "encoder.layers.0.feedforward.up.weight": (16, 8),
        "encoder.layers.0.feedforward.up.bias": (16,),
        "encoder.layers.0.block.norms.0.weight": (8,),
        "decoder.unused.weight": (4, 4),
    }
    return [
        (name, nn.Parameter(random_tensor(*shape, seed=index))) for index, (name, shape) in enumerate(shapes.items())
    ]


def sample_matrices() -> tuple[LayerMatrix, ...]:
    """The layers' matrices among `sample_parameters`, with two heads."""
    fused, up = "encoder.layers.0.attention.qkv.weight", "encoder.layers.0.feedforward.up.weight"
    return (
        LayerMatrix(fused, 0, 8, "query", 4),
        LayerMatrix(fused, 8, 16, "key", 4),
        LayerMatrix(fused, 16, 24, "value", 4),
        LayerMatrix(up, 0, 16, "feedforward"),
    )


def _set_gradients(parameters: NamedParameters) -> float:
    """Gradients of half the squared distance to 3 (all but the last parameter's); returns that value."""
    value = 0.0
    for _, parameter in parameters[:-1]:
        parameter.grad = parameter.detach() - 3.0
        value += 0.5 * parameter.grad.double().square().sum().item()
    return value


class OptimizerSuite(ComponentSuite):
    """Optimizers: see `zoo.training.contracts.OptimizerFactory`."""

    kind: ClassVar[str] = "optimizer"

    def factory(self, chosen: Chosen) -> OptimizerFactory:
        """The factory, told what the host tells it."""
        factory: OptimizerFactory = chosen.create()
        assert isinstance(factory, OptimizerFactory)
        factory.matrices = sample_matrices()
        return factory

    def create(self, chosen: Chosen, parameters: NamedParameters) -> Optimizer:
        """The optimizer over `parameters`; skips the test where this machine cannot run it."""
        try:
            return self.factory(chosen).create(parameters)
        except ZooError as error:
            pytest.skip(str(error))

    def test_it_is_a_torch_optimizer_over_every_parameter_once(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        optimizer = self.create(chosen, parameters)
        assert isinstance(optimizer, Optimizer)
        held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
        assert sorted(held) == sorted(id(parameter) for _, parameter in parameters)

    def test_it_descends_a_quadratic(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        optimizer = self.create(chosen, parameters)
        start = _set_gradients(parameters)
        for _ in range(30):
            optimizer.step()
            value = _set_gradients(parameters)
        assert math.isfinite(value)
        assert value < start

    def test_a_parameter_without_gradient_is_passed_over(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        optimizer = self.create(chosen, parameters)
        before = parameters[-1][1].detach().clone()
        _set_gradients(parameters)
        optimizer.step()
        assert torch.equal(parameters[-1][1], before)

    def test_learning_rate_zero_moves_nothing(self, chosen: Chosen) -> None:
        """Schedules set `lr` in every group; a warm-up may start at 0."""
        parameters = sample_parameters()
        optimizer = self.create(chosen, parameters)
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        before = [parameter.detach().clone() for _, parameter in parameters]
        _set_gradients(parameters)
        optimizer.step()
        for (name, parameter), kept in zip(parameters, before, strict=True):
            assert torch.equal(parameter, kept), f"{name} moved at learning rate 0"

    def test_restored_state_gives_the_same_next_step(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        optimizer = self.create(chosen, parameters)
        for _ in range(3):
            _set_gradients(parameters)
            optimizer.step()
        stored = io.BytesIO()
        torch.save(optimizer.state_dict(), stored)
        stored.seek(0)
        twins = _twins(parameters)
        twin = self.create(chosen, twins)
        twin.load_state_dict(torch.load(stored, weights_only=True))
        self._go_on_alike(optimizer, parameters, twin, twins)

    def test_a_checkpoint_of_the_served_weights_gives_the_same_next_step(self, chosen: Chosen, tmp_path: Path) -> None:
        """Weights and state are saved while `serving` is open; and a checkpoint holds plain values only."""
        parameters = sample_parameters()
        optimizer = self.create(chosen, parameters)
        for _ in range(3):
            _set_gradients(parameters)
            optimizer.step()
        with self.factory(chosen).serving(optimizer):
            save_state(tmp_path / "state", optimizer.state_dict())
            twins = _twins(parameters)
        twin = self.create(chosen, twins)
        twin.load_state_dict(load_state(tmp_path / "state"))
        self._go_on_alike(optimizer, parameters, twin, twins)

    def _go_on_alike(
        self, optimizer: Optimizer, parameters: NamedParameters, twin: Optimizer, twins: NamedParameters
    ) -> None:
        kept = optimizer_state_bytes(optimizer)
        assert optimizer_state_bytes(twin) == kept, "a restored state takes another amount of memory"
        for _ in range(2):
            for each, named in ((optimizer, parameters), (twin, twins)):
                _set_gradients(named)
                each.step()
        for (name, parameter), (_, other) in zip(parameters, twins, strict=True):
            assert torch.equal(parameter, other), f"{name} went another way after its state was restored"

    def test_update_clipping_can_build_on_what_the_record_says(self, chosen: Chosen) -> None:
        """With the trait `second_moment`: where it is, what it is, a step that is linear in the rate."""
        entry = self.registered().traits.get("second_moment")
        if entry is None:
            pytest.skip("not claimed")
        parameters, fast = sample_parameters(), sample_parameters()
        optimizer, twin = self.create(chosen, parameters), self.create(chosen, fast)
        moments = [torch.zeros_like(parameter) for _, parameter in parameters]
        for step in range(1, 4):
            starts = [parameter.detach().clone() for _, parameter in parameters]
            for (_, parameter), (_, other) in zip(parameters, fast, strict=True):
                other.data.copy_(parameter.data)
            for group in twin.param_groups:
                group["lr"] *= 2
            for named in (parameters, fast):
                _set_gradients(named)
            given = _gradients(parameters)
            optimizer.step()
            twin.step()
            for group in twin.param_groups:
                group["lr"] /= 2
            places = {id(item): group for group in optimizer.param_groups for item in group["params"]}
            rows = zip(parameters, fast, given, starts, strict=True)
            for place, ((name, parameter), (_, other), gradient, start) in enumerate(rows):
                if gradient is None:
                    continue
                beta, state = places[id(parameter)]["betas"][1], optimizer.state[parameter]
                moments[place] = beta * moments[place] + (1 - beta) * gradient.square()
                close(state[entry], moments[place], 1e-5, f"{name}: second moment of step {step}")
                assert int(state["step"]) == step
                assert places[id(parameter)]["eps"] >= 0
                assert parameter.grad is not None
                assert torch.equal(parameter.grad, gradient), f"{name}: its gradient was changed"
                close(other.detach() - start, 2 * (parameter.detach() - start), 1e-5, f"{name}: twice the rate")

    def test_serving_gives_the_parameters_back_bit_for_bit(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        optimizer = self.create(chosen, parameters)
        factory = self.factory(chosen)
        for _ in range(3):
            with factory.serving(optimizer):  # before the first step, too
                pass
            _set_gradients(parameters)
            optimizer.step()
            before = [parameter.detach().clone() for _, parameter in parameters]
            with factory.serving(optimizer):
                assert all(torch.isfinite(parameter).all() for _, parameter in parameters)
            for (name, parameter), kept in zip(parameters, before, strict=True):
                assert torch.equal(parameter, kept), f"{name} is not what it was before it was served"

    def test_it_keeps_as_many_bytes_as_it_says(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        optimizer = self.create(chosen, parameters)
        expected = self.factory(chosen).state_bytes(parameters)
        if expected is None:
            pytest.skip("nobody has counted")
        for _, parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        assert optimizer_state_bytes(optimizer) == expected

    def test_stepping_leaves_global_state_alone(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        with untouched_surroundings():
            optimizer = self.create(chosen, parameters)
            _set_gradients(parameters)
            optimizer.step()


def _twins(parameters: NamedParameters) -> list[tuple[str, nn.Parameter]]:
    return [(name, nn.Parameter(parameter.detach().clone())) for name, parameter in parameters]


def _gradients(parameters: NamedParameters) -> list[Tensor | None]:
    return [None if parameter.grad is None else parameter.grad.clone() for _, parameter in parameters]


def _norm(gradients: list[Tensor | None]) -> float:
    return math.sqrt(sum(item.double().square().sum().item() for item in gradients if item is not None))


class ClippingSuite(ComponentSuite):
    """Clippings: see `zoo.training.contracts.Clipping`."""

    kind: ClassVar[str] = "clipping"

    def build(self, chosen: Chosen) -> Clipping:
        """The clipping, as the host builds it."""
        clipping: Clipping = chosen.create()
        assert isinstance(clipping, Clipping)
        return clipping

    @pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
    def test_the_report_is_true(self, chosen: Chosen, scale: float) -> None:
        parameters = sample_parameters()
        _set_gradients(parameters)
        for _, parameter in parameters[:-1]:
            assert parameter.grad is not None
            parameter.grad.mul_(scale)
        before = _gradients(parameters)
        report = self.build(chosen).clip(parameters)
        after = _gradients(parameters)
        assert math.isclose(float(report.norm), _norm(before), rel_tol=1e-4), "norm before clipping"
        assert _norm(after) <= _norm(before) * (1 + 1e-5), "clipping made the gradient longer"
        assert math.isclose(float(report.clipped_norm), _norm(after), rel_tol=1e-4), "norm after clipping"
        assert after[-1] is None, "a parameter without a gradient was given one"
        if not bool(report.clipped):
            for old, new in zip(before[:-1], after[:-1], strict=True):
                assert old is not None
                assert new is not None
                close(new / scale, old / scale, 1e-6, "reported as not clipped")
        else:
            pairs = zip(before[:-1], after[:-1], strict=True)
            assert any(not torch.equal(old, new) for old, new in pairs if old is not None and new is not None), (
                "reported as clipped, but no gradient changed"
            )

    def test_groups_are_reported_by_the_same_names_in_every_step(self, chosen: Chosen) -> None:
        clipping, parameters = self.build(chosen), sample_parameters()
        names = []
        for scale in (1e-3, 1e3):
            _set_gradients(parameters)
            for _, parameter in parameters[:-1]:
                assert parameter.grad is not None
                parameter.grad.mul_(scale)
            report = clipping.clip(parameters)
            names.append(list(report.groups))
            if report.groups:
                squares = sum(float(group.norm) ** 2 for group in report.groups.values())
                assert math.isclose(math.sqrt(squares), float(report.norm), rel_tol=1e-4), "norms of the groups"
        assert names[0] == names[1]

    def test_zero_gradients_stay_zero(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        for _, parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        report = self.build(chosen).clip(parameters)
        assert float(report.norm) == 0.0
        assert not bool(report.clipped)
        assert all(parameter.grad is not None and not parameter.grad.any() for _, parameter in parameters)

    def test_no_gradients_at_all_are_no_error(self, chosen: Chosen) -> None:
        report = self.build(chosen).clip(sample_parameters())
        assert float(report.norm) == 0.0
        assert not bool(report.clipped)

    def test_a_gradient_that_is_not_finite_shows_in_the_norm(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        _set_gradients(parameters)
        assert parameters[0][1].grad is not None
        parameters[0][1].grad[0, 0] = float("nan")
        assert not math.isfinite(float(self.build(chosen).clip(parameters).norm))

    def test_parameters_and_global_state_are_left_alone(self, chosen: Chosen) -> None:
        parameters = sample_parameters()
        _set_gradients(parameters)
        before: list[Any] = copy.deepcopy([parameter.detach() for _, parameter in parameters])
        with untouched_surroundings():
            self.build(chosen).clip(parameters)
        for (name, parameter), kept in zip(parameters, before, strict=True):
            assert torch.equal(parameter, kept), f"{name} itself was changed"


class ScheduleSuite(ComponentSuite):
    """Schedules: see `zoo.training.contracts.Schedule`."""

    kind: ClassVar[str] = "schedule"

    @pytest.mark.parametrize("total", [1, 2, 10, 1000, 1_000_000])
    def test_every_step_has_a_factor(self, chosen: Chosen, total: int) -> None:
        schedule: Schedule = chosen.create()
        assert isinstance(schedule, Schedule)
        # Past the end too: a resumed run may have been given fewer steps than it has done.
        steps = {*range(min(total, 200)), total // 2, total - 1, total, total + 1, 10 * total}
        for step in sorted(steps):
            factor = schedule.factor(step, total)
            assert isinstance(factor, float), f"step {step} of {total}: {type(factor).__name__}, expected float"
            assert math.isfinite(factor), f"step {step} of {total}: {factor}"
            assert factor >= 0, f"step {step} of {total}: {factor}"

    def test_a_run_is_not_all_zero(self, chosen: Chosen) -> None:
        schedule: Schedule = chosen.create()
        assert any(schedule.factor(step, 1000) > 0 for step in range(1000))

    def test_a_step_has_one_factor(self, chosen: Chosen) -> None:
        """Resuming asks for a step without having asked for those before it."""
        schedule: Schedule = chosen.create()
        with untouched_surroundings():
            forwards = [schedule.factor(step, 50) for step in range(50)]
            backwards = [chosen.create().factor(step, 50) for step in reversed(range(50))]
        assert forwards == backwards[::-1]
