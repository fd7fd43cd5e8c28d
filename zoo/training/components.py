"""A training section's components, built for one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from zoo.errors import InputError
from zoo.spec.sections import TrainingSection
from zoo.training.clipped_updates import ClippedUpdates
from zoo.training.contracts import Clipped, Clipping, NamedParameters, Schedule, TokenLoss


@dataclass(frozen=True)
class Components:
    """What acts on a model's parameters in each step."""

    parameters: NamedParameters
    """Trainable parameters by name, each tied matrix once."""
    objective: TokenLoss
    optimizer: Optimizer
    scheduler: LambdaLR
    clipping: Clipping
    updates: ClippedUpdates | None = None
    """What bounds the optimizer's steps; it is told of each by the optimizer itself."""

    @classmethod
    def build(cls, section: TrainingSection, model: Any) -> Components:
        """Build them over `model`, which already stands on its device.

        Raises InputError where the objective would normalise scores that are to be taken as they are, or needs all
        tokens at once and is to be given a few at a time.
        """
        objective: TokenLoss = section.objective.create()
        if model.log_probabilities and not objective.takes_log_probabilities:
            raise InputError(
                f"the objective '{section.objective.id}' reads logits, but the model's output fusion gives "
                "log-probabilities that need not sum to one: take cross-entropy, or another output fusion"
            )
        if section.logits_chunk is not None and not objective.row_wise:
            raise InputError(
                f"training.logits_chunk: the objective '{section.objective.id}', as it is set here, looks at a batch's "
                "tokens together and cannot be given a few at a time: leave logits_chunk out"
            )
        parameters = [(name, item) for name, item in model.named_parameters() if item.requires_grad]
        optimizer: Optimizer = section.optimizer.create().create(parameters)
        schedule: Schedule = section.schedule.create()
        total = section.steps
        return cls(
            parameters=parameters,
            objective=objective.to(model.device),
            optimizer=optimizer,
            scheduler=LambdaLR(optimizer, lambda step: schedule.factor(step, total)),
            clipping=section.clipping.create(),
            updates=_clipped_updates(section, optimizer, parameters),
        )

    def clip(self) -> Clipped:
        """Clip the gradients of a step."""
        return self.clipping.clip(self.parameters)

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


def _clipped_updates(
    section: TrainingSection, optimizer: Optimizer, parameters: NamedParameters
) -> ClippedUpdates | None:
    if section.update_clipping is None:
        return None
    entry = section.optimizer.component.traits["second_moment"]  # the section refuses optimizers without
    return ClippedUpdates(section.update_clipping.create(), optimizer, parameters, entry)
