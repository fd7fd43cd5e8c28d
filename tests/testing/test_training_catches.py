"""The kit fails losses, optimizers, clippings and schedules that break their contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from zoo.errors import ZooError
from zoo.spec.options import Options
from zoo.testing import ClippingSuite, ComponentSuite, OptimizerSuite, ScheduleSuite, TokenLossSuite
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
Run = Callable[..., None]


class WrongGradient(TokenLoss):
    """Cross-entropy whose gradient is scaled behind its back."""

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        loss = nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        return loss.detach() + 0.5 * (loss - loss.detach())


class Reduced(TokenLoss):
    """Reduces, which is the host's part."""

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        return nn.functional.cross_entropy(logits.float(), targets)


def test_broken_token_losses_are_caught(installed: Installed, run: Run) -> None:
    with pytest.raises(AssertionError, match="gradient against differences"):
        run(installed(TokenLossSuite, WrongGradient), "test_gradient_is_that_of_the_value")
    suite = installed(TokenLossSuite, Reduced)
    with pytest.raises(AssertionError):
        run(suite, "test_one_float32_loss_a_token", torch.float32)


class MeanOfTokens(TokenLoss):
    """Takes the mean logit of the whole batch from each token's, and claims that tokens stand alone."""

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        loss = nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        return loss - 0.1 * loss.mean()


class Numbered(TokenLoss):
    """Weighs texts by their numbers."""

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        assert context.examples is not None
        loss = nn.functional.cross_entropy(logits.float(), targets, reduction="none")
        return loss * (10 + context.examples)


class OnlyTheFirst(TokenLoss):
    """Asks for two passes and looks at one."""

    passes = 2

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        return nn.functional.cross_entropy(logits[0].float(), targets, reduction="none")


class OneWay(OnlyTheFirst):
    """A divergence that tells the first pass from the second."""

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        p, q = logits.float().log_softmax(-1)
        return super().forward(logits, targets, context) + (p.exp() * (p - q)).sum(-1)


class AddsUpTheVocabulary(TokenLoss):
    """The textbook's label smoothing."""

    def forward(self, logits: Tensor, targets: Tensor, context: LossContext) -> Tensor:
        log_p = logits.float().log_softmax(-1)
        return -0.9 * log_p.gather(-1, targets[:, None])[:, 0] - 0.1 * log_p.mean(-1)


def test_losses_that_break_what_they_say_of_tokens_texts_and_passes_are_caught(installed: Installed, run: Run) -> None:
    with pytest.raises(AssertionError, match="token by token"):
        run(installed(TokenLossSuite, MeanOfTokens), "test_each_token_is_scored_as_if_alone_where_claimed")
    with pytest.raises(AssertionError, match="under other numbers"):
        run(installed(TokenLossSuite, Numbered), "test_texts_are_told_apart_by_their_numbers_and_no_more")
    for loss in (OnlyTheFirst, OneWay):
        suite = installed(TokenLossSuite, loss)
        run(suite, "test_one_float32_loss_a_token", torch.float32)
        with pytest.raises(AssertionError, match="passes in another order"):
            run(suite, "test_no_pass_is_unlike_the_others")


def test_a_loss_that_one_masked_class_makes_infinite_is_caught(installed: Installed, run: Run) -> None:
    suite = installed(TokenLossSuite, AddsUpTheVocabulary)
    run(suite, "test_values_and_gradients_are_finite", 1.0)
    with pytest.raises(AssertionError, match="the loss is not finite"):
        run(suite, "test_a_masked_class_leaves_values_and_gradients_finite")


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


class Miscounts(OptimizerFactory):
    """Keeps a momentum and says that it keeps nothing; and serves rounded weights for good."""

    def create(self, parameters: NamedParameters) -> Optimizer:
        return SGD([parameter for _, parameter in parameters], lr=0.1, momentum=0.9)

    def state_bytes(self, parameters: NamedParameters) -> int:
        return 0

    @contextmanager
    def serving(self, optimizer: Optimizer) -> Iterator[None]:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.data = parameter.data.bfloat16().float()
        yield


class KeepsObjects(SGD):
    """Has something in its state that no checkpoint can hold."""

    def step(self, closure: Any = None) -> Any:
        self.state[self.param_groups[0]["params"][0]]["helper"] = object()
        return super().step(closure)


class KeepsObjectsFactory(OptimizerFactory):
    """Makes `KeepsObjects`."""

    def create(self, parameters: NamedParameters) -> Optimizer:
        return KeepsObjects([parameter for _, parameter in parameters], lr=0.1)


def test_optimizers_that_break_what_checkpoints_and_boards_rely_on_are_caught(
    installed: Installed, run: Run, tmp_path: Path
) -> None:
    suite = installed(OptimizerSuite, Miscounts)
    with pytest.raises(AssertionError):
        run(suite, "test_it_keeps_as_many_bytes_as_it_says")
    with pytest.raises(AssertionError, match="is not what it was before it was served"):
        run(suite, "test_serving_gives_the_parameters_back_bit_for_bit")
    suite = installed(OptimizerSuite, KeepsObjectsFactory)
    with pytest.raises(ZooError, match="helper' is a object, which a checkpoint cannot hold"):
        run(suite, "test_a_checkpoint_of_the_served_weights_gives_the_same_next_step", tmp_path)


def test_broken_optimizers_are_caught(installed: Installed, run: Run) -> None:
    suite = installed(OptimizerSuite, ForgetfulFactory)
    with pytest.raises(AssertionError, match="went another way"):
        run(suite, "test_restored_state_gives_the_same_next_step")
    with pytest.raises(AssertionError, match="moved at learning rate 0"):
        run(suite, "test_learning_rate_zero_moves_nothing")
    with pytest.raises(AssertionError):
        run(installed(OptimizerSuite, LeavesOneOut), "test_it_is_a_torch_optimizer_over_every_parameter_once")


class SaysNothing(Clipping):
    """Clips and reports that it did not."""

    def clip(self, parameters: NamedParameters) -> Clipped:
        norm = nn.utils.clip_grad_norm_([parameter for _, parameter in parameters], 0.1)
        return Clipped(norm, norm.clamp(max=0.1), torch.tensor(False))


class ForgetsWhatIsLeft(Clipping):
    """Reports the norm before clipping as the one after it."""

    def clip(self, parameters: NamedParameters) -> Clipped:
        norm = nn.utils.clip_grad_norm_([parameter for _, parameter in parameters], 0.1)
        return Clipped(norm, norm, torch.tensor(True))


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


def test_broken_clippings_and_schedules_are_caught(installed: Installed, run: Run) -> None:
    suite = installed(ClippingSuite, SaysNothing)
    with pytest.raises(AssertionError, match="reported as not clipped"):
        run(suite, "test_the_report_is_true", 1.0)
    with pytest.raises(AssertionError, match="norm after clipping"):
        run(installed(ClippingSuite, ForgetsWhatIsLeft), "test_the_report_is_true", 1.0)
    with pytest.raises(AssertionError):
        run(installed(ScheduleSuite, Warms), "test_a_step_has_one_factor")
    suite = installed(ScheduleSuite, Negative)
    with pytest.raises(AssertionError, match="step 11 of 10"):
        run(suite, "test_every_step_has_a_factor", 10)
