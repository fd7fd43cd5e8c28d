"""A training section's components, built for one model."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from zoo.errors import InputError
from zoo.spec.options import NoOptions
from zoo.spec.own_section import OwnLossTraining
from zoo.spec.training_section import TrainingSection
from zoo.training.clipped_updates import ClippedUpdates
from zoo.training.contracts import (
    Clipped,
    Clipping,
    NamedParameters,
    OptimizerFactory,
    Schedule,
    StepsInBackward,
    TokenLoss,
)
from zoo.training.layer_matrices import layer_matrices


class OwnLoss(TokenLoss):
    """Stands for the losses that a detector or a generator has of its own: nobody asks it."""

    is_cross_entropy = True

    def __init__(self) -> None:
        super().__init__(NoOptions())


@dataclass(frozen=True)
class Components:
    """What acts on a model's parameters in each step."""

    parameters: NamedParameters
    """Trainable parameters by name, each tied matrix once."""
    objective: TokenLoss
    factory: OptimizerFactory
    optimizer: Optimizer
    scheduler: LambdaLR
    clipping: Clipping
    updates: ClippedUpdates | None = None
    """What bounds the optimizer's steps; it is told of each by the optimizer itself."""

    @classmethod
    def build(cls, section: TrainingSection, model: Any) -> Components:
        """Build them over `model`, which already stands on its device.

        Raises InputError where the objective would normalise scores that are to be taken as they are, needs all tokens
        at once and is to be given a few at a time, or is one of tokens and the model's loss is its own; and where
        gradients that the optimizer frees in the backward pass would be clipped or accumulated, or an optimizer's
        average be averaged.
        """
        objective, factory = refuse_unfit_training(section, model.device)
        if model.log_probabilities and not objective.takes_log_probabilities:
            raise InputError(
                f"the objective '{section.objective.id}' reads logits, but the model's output fusion gives "
                "log-probabilities that need not sum to one: take cross-entropy, or another output fusion"
            )
        if model.own_loss:
            _refuse_losses_of_tokens(section, objective)
        parameters = [(name, item) for name, item in model.named_parameters() if item.requires_grad]
        clipping: Clipping = section.clipping.create()
        factory.matrices = layer_matrices(model, parameters)
        optimizer = factory.create(parameters)
        if isinstance(optimizer, StepsInBackward):
            _refuse_whole_gradients(section, clipping)
        schedule: Schedule = section.schedule.create()
        total = section.steps
        return cls(
            parameters=parameters,
            objective=objective.to(model.device),
            factory=factory,
            optimizer=optimizer,
            scheduler=LambdaLR(optimizer, lambda step: schedule.factor(step, total)),
            clipping=clipping,
            updates=_clipped_updates(section, optimizer, parameters),
        )

    def clip(self) -> Clipped:
        """Clip the gradients of a step; of those that are freed by now, tell the norm."""
        if isinstance(self.optimizer, StepsInBackward):
            norm = self.optimizer.gradient_norm()
            return Clipped(norm=norm, clipped_norm=norm, clipped=torch.zeros_like(norm, dtype=torch.bool))
        return self.clipping.clip(self.parameters)

    def serving(self) -> AbstractContextManager[None]:
        """While it is open, the model has the weights that the optimizer's method is judged by and leaves behind."""
        return self.factory.serving(self.optimizer)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        updates = {} if self.updates is None else {"updates": self.updates.state()}
        return {"optimizer": self.optimizer.state_dict(), "scheduler": self.scheduler.state_dict(), **updates}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken: rates, moments and step counts, bit for bit."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.updates is not None:
            self.updates.load_state(state["updates"])


def refuse_unfit_training(section: TrainingSection, device: torch.device) -> tuple[TokenLoss, OptimizerFactory]:
    """The objective and the optimizer's factory, where neither data nor model is needed to see that they do.

    Raises ZooError where the optimizer cannot run here, InputError where components do not go together.
    """
    own = isinstance(section, OwnLossTraining)
    objective: TokenLoss = OwnLoss() if own else section.objective.create()
    if section.logits_chunk is not None and not objective.row_wise:
        raise InputError(
            f"training.logits_chunk: the objective '{section.objective.id}', as it is set here, looks at a batch's "
            "tokens together and cannot be given a few at a time: leave logits_chunk out"
        )
    factory: OptimizerFactory = section.optimizer.create()
    factory.refuse(device)
    if factory.steps_in_backward:
        _refuse_whole_gradients(section, section.clipping.create())
    if section.averaging is not None and type(factory).serving is not OptimizerFactory.serving:
        raise InputError(
            f"the optimizer '{section.optimizer.id}' leaves weights behind that are an average already: leave "
            "training.averaging out"
        )
    return objective, factory


def _clipped_updates(
    section: TrainingSection, optimizer: Optimizer, parameters: NamedParameters
) -> ClippedUpdates | None:
    if section.update_clipping is None:
        return None
    entry = section.optimizer.component.traits["second_moment"]  # the section refuses optimizers without
    return ClippedUpdates(section.update_clipping.create(), optimizer, parameters, entry)


def _refuse_losses_of_tokens(section: TrainingSection, objective: TokenLoss) -> None:
    """Raise InputError where `section` asks for a loss that is made of each token's logits."""
    who = "the model's loss is its own: it has no logits of one token each"
    if not objective.is_cross_entropy:
        raise InputError(f"{who}, for '{section.objective.id}': set training.objective to plain cross-entropy")
    if section.logits_chunk is not None:
        raise InputError(f"{who}: leave training.logits_chunk out")


def _refuse_whole_gradients(section: TrainingSection, clipping: Clipping) -> None:
    """Raise InputError where `section` asks for what needs all gradients of a step at once."""
    who = f"the optimizer '{section.optimizer.id}' steps in the backward pass, where gradients are freed one by one"
    if section.gradient_accumulation != 1:
        raise InputError(
            f"{who}: training.gradient_accumulation must be 1, not {section.gradient_accumulation}; raise batch_tokens"
        )
    if section.precision == "fp16":
        raise InputError(f"{who}, and scaled ones must wait for each other: set training.precision to bf16 or fp32")
    for name in ("step_tokens", "log_token_gradients"):
        if getattr(section, name):
            raise InputError(f"{who}: leave training.{name} out")
    if clipping.changes_gradients:
        raise InputError(f"{who}, and '{section.clipping.id}' clips them together: set training.clipping to 'none'")
